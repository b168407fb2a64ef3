// Package update brings a newer workshop into the reader's checkout.
//
// The model is a merge whose outcome is known for every exercise's file:
//
//	file                             after the update
//	an exercise, still the old stub  the new stub
//	an exercise, written or edited   as it is, committed or not
//	an exercise that is no more      kept under .lab/backup if it was written
//	anything else                    upstream's, merged with the reader's commits
//
// Guarantees: the new commit is made aside, from git's objects, and the working
// tree is switched to it in one step that git refuses if it would overwrite
// anything (git read-tree -m -u). Until then nothing is changed; a conflict
// outside the exercises, or changes that are not committed, end it before.
//
// Caveats: it needs git 2.38 (merge-tree --write-tree) and a common history.
package update
