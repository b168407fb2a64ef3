package vm

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestKernelPackages(t *testing.T) {
	debian := "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\nlinux-image-6.1.0-56-cloud-amd64\n  Depends: kmod\nkmod\n"
	ubuntu := "linux-image-virtual\n  Depends: linux-image-6.8.0-51-generic\nlinux-image-6.8.0-51-generic\n  Depends: linux-modules-6.8.0-51-generic\nlinux-modules-6.8.0-51-generic\n<linux-initramfs-tool>\nlinux-image-\n"
	assert.Equal(t, []string{"linux-image-6.1.0-56-cloud-amd64"}, kernelPackages(debian))
	assert.Equal(t, []string{"linux-image-6.8.0-51-generic", "linux-modules-6.8.0-51-generic"}, kernelPackages(ubuntu))
}

func TestParseLibraries(t *testing.T) {
	list := "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibself.so => /proc/self/exe (0x00007f)\n\tlibgone.so => not found\n\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n"
	assert.Equal(t, []string{"/proc/self/exe"}, parseLibraries(list))
}

func TestTestArgs(t *testing.T) {
	assert.Equal(t, []string{"-test.v", "-test.run=A/b", "-test.count=2", "-test.timeout=3s", "-mine", "x", "-test.short"},
		testArgs([]string{"-v", "-run", "A/b", "--count=2", "-test.timeout=3s", "-mine", "x", "-short"}))
}

// The last lines of a console are text, and stop where a panic's registers begin.
func TestTail(t *testing.T) {
	var console tail
	console.Write([]byte("\x1bcSeaBIOS\r\n\r\none\r\ntwo\r\nKernel panic - not syncing\r\nRAX: 0\r\n"))
	assert.Equal(t, "two\nKernel panic - not syncing", console.last(2))
	for range 100 {
		console.Write(bytes.Repeat([]byte("x"), 1000))
	}
	assert.LessOrEqual(t, len(console.buf), 32<<10)
}

func TestReport(t *testing.T) {
	for _, c := range []struct {
		result Result
		stream bool
		output string
		want   string
	}{
		{Result{Elapsed: 1200 * time.Millisecond}, false, "PASS\n", "ok  \tp\t1.200s\n"},
		{Result{}, true, "=== RUN\nPASS\n", "=== RUN\nPASS\nok  \tp\t0.000s\n"},
		{Result{}, false, "testing: warning: no tests to run\nPASS\n", "ok  \tp\t0.000s [no tests to run]\n"},
		{Result{Code: 1}, false, "--- FAIL: TestX\nFAIL\n", "--- FAIL: TestX\nFAIL\nFAIL\tp\t0.000s\n"},
		{Result{Code: 3}, false, "", "exit status 3\nFAIL\tp\t0.000s\n"},
		{Result{Code: 137, Signal: "SIGKILL"}, false, "half", "half\nsignal: SIGKILL\nFAIL\tp\t0.000s\n"},
		{Result{Code: 124, Error: "its time (1s) was over"}, false, "", "its time (1s) was over\nFAIL\tp\t0.000s\n"},
	} {
		var out bytes.Buffer
		r := &report{pkg: "p", out: &out, stream: c.stream}
		r.Write([]byte(c.output))
		assert.Equal(t, c.result.Code == 0, r.finish(c.result))
		assert.Equal(t, c.want, out.String())
	}
}
