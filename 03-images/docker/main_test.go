package docker

import (
	"os"
	"testing"

	"coracle/internal/sandbox"
)

func TestMain(m *testing.M) {
	o := sandbox.Options{Dir: "03-images/docker", Cgroup: true}
	remove := o.OnDisk()
	code := sandbox.Main(m, o)
	remove()
	os.Exit(code)
}
