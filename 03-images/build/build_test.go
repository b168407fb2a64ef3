package build

import (
	"strconv"
	"testing"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestBuild_Smoke(t *testing.T) {
	sandbox.Need(t)
	store := storeWithBase(t)
	b, img := build(t, store, "FROM base\nRUN echo hello > /x; id; ls /\nWORKDIR /app\nCOPY f .\n", folder(t, map[string]string{"f": "content"}))
	t.Log(said(b))
	files := listFiles(t, store, img)
	check.Equal(t, "/x", "-rw-r--r-- hello\n", files["/x"])
	check.Equal(t, "/app/f", "-rw-r--r-- content", files["/app/f"])
	b, _ = build(t, store, "FROM base\nRUN echo hello > /x; id; ls /\nWORKDIR /app\nCOPY f .\n", folder(t, map[string]string{"f": "content"}))
	check.Equal(t, "what ran the second time", 0, b.Ran)
}
