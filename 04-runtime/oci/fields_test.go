package oci

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"coracle/internal/check"
)

// No field of the runtime-spec is dropped in silence: each is at least named in this
// package's code (or in that of seccomp profiles, which chapter 1 reads), be it to
// honour, to refuse or to warn of it. A later version of the spec fails here first.
func TestFields_AllAreNamed(t *testing.T) {
	var code strings.Builder
	for _, pattern := range []string{"*.go", "../../01-namespaces/seccomp/*.go"} {
		files, err := filepath.Glob(pattern)
		check.NoError(t, "list files", err)
		for _, f := range files {
			if !strings.HasSuffix(f, "_test.go") {
				text, err := os.ReadFile(f)
				check.NoError(t, "read "+f, err)
				code.Write(text)
			}
		}
	}
	if !strings.Contains(code.String(), "func verdict(") {
		t.Skip("the code of package seccomp is not at hand here") // in a virtual machine
	}
	refusedWhole := []string{"Solaris", "Windows", "VM", "ZOS", "FreeBSD", "IntelRdt", "MemoryPolicy", "NetDevices", "ExecCPUAffinity"}
	// Nothing listens, so nobody could be sent it.
	harmless := []string{"Spec.Linux.Seccomp.ListenerMetadata"}
	var missing []string
	var walk func(path string, of reflect.Type)
	walk = func(path string, of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct {
			return
		}
		for i := range of.NumField() {
			f := of.Field(i)
			if !f.Anonymous && !slices.Contains(harmless, path+"."+f.Name) && !regexp.MustCompile(`\.`+f.Name+`\b`).MatchString(code.String()) {
				missing = append(missing, path+"."+f.Name)
			}
			if !slices.Contains(refusedWhole, f.Name) {
				walk(path+"."+f.Name, f.Type)
			}
		}
	}
	walk("Spec", reflect.TypeFor[specs.Spec]())
	check.Equal(t, "fields of the runtime-spec that the code does not name", []string(nil), missing)
}
