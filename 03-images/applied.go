package images

// ApplyOptions are limits, and how owners are kept, for Apply.
type ApplyOptions struct {
	MaxBytes   int64 // of all files together; 0: DefaultMaxBytes
	MaxEntries int   // 0: DefaultMaxEntries
	Owners     Owners
	Plain      bool // remove what whiteouts name: a plain folder, no overlay
}

// Applied is what Apply did.
type Applied struct {
	// Implicit are the folders that no entry named, parents first, "." too. AddLayer
	// gives them what they have in the layers below.
	Implicit []string
	Size     int64 // bytes of all files
	Entries  int
}
