// Package grade gives points for the exercises of a submission.
//
// Only the exercises' own files are taken from it; tests, given code and tools
// are the grader's. They are checked, laid over the reference, built, and each
// rung runs in a process, a sandbox and a time of its own:
//
//	lab grade ── lab: sandbox, outer process
//	               └─ lab: PID 1, limits
//	                    └─ test binary, with the submission in it
//	                         └─ nonce, test, outcome → descriptor → lab grade
//
// A rung counts if its test said pass over the descriptor with the nonce, the
// test process came to its end, its exit status was 0, and nothing else was
// written there. What it prints counts for nothing. Exercises of one package are
// built together first; one that is not all green is built again alone with the
// rest borrowed, so that a bad file costs only its own exercise.
//
// Guarantees: nothing that was kept from an earlier run is used but compiled
// packages; no code of a submission runs outside the sandbox or before the nonce
// is out of reach of a read; submissions, the tree and the user's home are covered.
//
// Caveats: test and submission share a process, so forging is made hard, not
// impossible: code that searches its own memory for the nonce, or takes a test's
// values by name, earns points. Imports are an allow list for this reason. A
// submission that is root in its namespaces can uncover what was covered: those
// who expect an attack use --vm. "machine cannot" is the machine's word over
// the descriptor (a skip), but its reason is text and could be forged.
//
// The full-size counterparts: autograders such as Gradescope's run a container
// for each submission; judges such as DMOJ or isolate keep the verdict outside
// of the judged process by comparing output, which a kernel exercise has none of.
package grade
