package exercise

var chapter3 = []Exercise{
	{
		ID: "3.1", Title: "content-addressed blobs, atomic and verified", File: "03-images/blob.go",
		Minutes: 50, Difficulty: 2, Points: 5, Anchor: "31-content-addressed-blobs-atomic-and-verified",
		Rungs: []Rung{
			{"TestBlob_IsThereOnceCommitted", "a blob is there once it is committed, and not before", 1},
			{"TestCommit_RefusesWhatIsNotTheBlob", "false or missing bytes are refused and gone", 2},
			{"TestOpen_Verifies", "whoever reads a false blob never has all of it", 2},
			{"TestCreate_GoesOnWhereItBrokeOff", "what an earlier try wrote is kept", 2},
			{"TestCreate_OneAtATime", "two processes do not write one blob", 3},
		},
	},
	{
		ID: "3.2", Title: "config, manifest, index, diff ID and chain ID", File: "03-images/manifest.go",
		Minutes: 50, Difficulty: 2, Points: 5, Anchor: "32-config-manifest-index-diff-id-and-chain-id", Needs: []string{"3.1"},
		Rungs: []Rung{
			{"TestParseManifest_OfOCIAndDocker", "manifests of OCI and of Docker are read", 1},
			{"TestParseManifest_Refuses", "what is ambiguous or none is refused", 2},
			{"TestParseConfig_HasADiffIDForEachLayer", "a config has a diff ID for each layer", 1},
			{"TestSelect_ThePlatform", "the image for this machine is found", 3},
			{"TestChainIDs_AsTheSpecification", "a layer is named with all below it", 2},
		},
	},
	{
		ID: "3.3", Title: "a layer is unpacked, hostile ones refused", File: "03-images/apply.go",
		Minutes: 70, Difficulty: 3, Points: 7, Anchor: "33-a-layer-is-unpacked-hostile-ones-refused",
		Rungs: []Rung{
			{"TestApply_Files", "files, folders and links of all kinds", 1},
			{"TestApply_Whiteouts", "whiteouts concern the layers below, wherever they stand", 2},
			{"TestApply_Attributes", "modes, owners, times and attributes", 2},
			{"TestApply_Hostile", "nothing is written outside, nothing forged", 3},
			{"TestApply_Limits", "what is too much, cut off or cancelled ends with one line", 3},
		},
	},
	{
		ID: "3.4", Title: "a change as a reproducible layer", File: "03-images/diff.go",
		Minutes: 60, Difficulty: 2, Points: 6, Anchor: "34-a-change-as-a-reproducible-layer", Needs: []string{"3.3"},
		Rungs: []Rung{
			{"TestDiff_Entries", "files and folders with what belongs to them", 1},
			{"TestDiff_Deletions", "deletions become whiteouts", 2},
			{"TestDiff_Links", "a hard link is written once", 2},
			{"TestDiff_Reproducible", "the same change gives the same bytes", 3},
			{"TestDiff_RoundTrip", "and is unpacked to what it was", 3},
		},
	},
	{
		ID: "3.5", Title: "overlay snapshots", File: "03-images/snapshot.go",
		Minutes: 70, Difficulty: 3, Points: 7, Anchor: "35-overlay-snapshots", Needs: []string{"3.3"},
		Rungs: []Rung{
			{"TestOverlayOptions", "layers become options, whatever their path", 1},
			{"TestAddLayer_WholeOrNotThere", "a layer is there whole, or not at all", 2},
			{"TestAddLayer_OnceForAll", "it is unpacked once, however many want it", 2},
			{"TestMount_LayersAsOneTree", "layers are mounted as one tree, and written to above", 3},
			{"TestLayerPath_AfterAPowerLoss", "what a power loss may have torn is not believed", 3},
		},
	},
	{
		ID: "3.6", Title: "pull: resolve, platform, verify, in parallel", File: "03-images/remote/pull.go",
		Minutes: 75, Difficulty: 3, Points: 7, Anchor: "36-pull-resolve-platform-verify-in-parallel", Needs: []string{"3.1", "3.2", "3.5"},
		Rungs: []Rung{
			{"TestResolve_WhatCame", "a name becomes the digest of what came", 1},
			{"TestPull_ThePlatformsImage", "the image for a platform arrives and has its name", 2},
			{"TestPull_BelievesNothing", "what is not what it is called is refused", 2},
			{"TestPull_AllAtOnce", "layers are downloaded and unpacked at once", 3},
			{"TestPull_WhatIsThere", "what is there already is not asked for", 2},
		},
	},
	{
		ID: "3.7", Title: "authentication, resuming, push", File: "03-images/remote/transfer.go",
		Minutes: 75, Difficulty: 3, Points: 7, Anchor: "37-authentication-resuming-push", Needs: []string{"3.6"},
		Rungs: []Rung{
			{"TestAuthorize_Password", "Basic, where it is asked for", 1},
			{"TestAuthorize_Token", "a token, from whom the registry names", 2},
			{"TestResume_GoesOn", "a broken download goes on where it was", 2},
			{"TestResume_Ends", "and ends, whatever the registry does", 3},
			{"TestPushBlob_OnlyWhatIsMissing", "only what is missing is sent", 2},
		},
	},
	{
		ID: "3.8", Title: "cache keys of a build", File: "03-images/build/cachekey.go",
		Minutes: 40, Difficulty: 2, Points: 5, Anchor: "38-cache-keys-of-a-build",
		Rungs: []Rung{
			{"TestKey_KnowsWhatCounts", "what a step could depend on changes its key", 1},
			{"TestKey_IgnoresWhatDoesNotCount", "what it could not does not", 1},
			{"TestKey_KnowsAllStepsBefore", "a key stands for all steps before, too", 2},
			{"TestChecksum_KnowsFilesByContent", "files are known by their content, not their time", 2},
			{"TestChecksum_ReadsInPiecesAndReportsErrors", "large files are not kept in memory, errors are told", 3},
		},
	},
	{
		ID: "3.9", Title: "the build itself", File: "03-images/build/build.go",
		Minutes: 75, Difficulty: 3, Points: 7, Anchor: "39-the-build-itself", Needs: []string{"3.1", "3.2", "3.4", "3.5", "3.8"},
		Rungs: []Rung{
			{"TestNeeded_StagesInOrder", "the stages that the target needs, in order", 1},
			{"TestBuild_MakesLayersAndConfig", "each step makes a layer, and the config says what to run", 2},
			{"TestBuild_StagesAndRun", "stages, and programs that run", 2},
			{"TestBuild_SecondTimeNothingRuns", "a second build does nothing", 3},
			{"TestBuild_HoldsTheStore", "nothing is collected away underneath, nothing is left", 3},
		},
	},
	{
		ID: "3.10", Title: "garbage collection", File: "03-images/collect.go",
		Minutes: 45, Difficulty: 2, Points: 5, Anchor: "310-garbage-collection", Needs: []string{"3.1", "3.2", "3.5"},
		Rungs: []Rung{
			{"TestMark_WhatCanBeReached", "what can be reached is marked, loops end", 1},
			{"TestCollect_KeepsWhatHasANameOrASnapshot", "what has a name or a snapshot stays", 2},
			{"TestCollect_WhatCrashesLeave", "what crashes left goes", 2},
			{"TestCollect_StepsOfBuilds", "steps of builds stay as long as one wants", 3},
			{"TestCollect_WaitsForWhoAdds", "who adds to the store is waited for", 3},
		},
	},
}
