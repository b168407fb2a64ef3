// Package seccomp compiles the seccomp profiles of the OCI runtime-spec.
package seccomp
