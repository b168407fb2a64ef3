package build

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/exercise"
)

// BenchmarkBuild_Cached measures a build of what has not changed: two stages, ten
// steps, a context of 400 files and 20 MB. Dockerfile and context are read anew.
// `image build` adds the start of a program.
//
//	go test -overlay solutions/overlay.json -run '^$' -bench Cached ./03-images/build
func BenchmarkBuild_Cached(b *testing.B) {
	exercise.NeedAll(b)
	store := storeWithBase(b)
	dir := b.TempDir()
	for i := range 400 {
		name := filepath.Join(dir, fmt.Sprint("d", i%20), fmt.Sprint("f", i))
		check.NoError(b, "make a folder", os.MkdirAll(filepath.Dir(name), 0o755))
		check.NoError(b, "write a file", os.WriteFile(name, slices.Repeat([]byte{byte(i)}, 50<<10), 0o644))
	}
	text := "FROM base AS one\nWORKDIR /src\nCOPY . .\nRUN cat d*/f* > /all\nRUN echo 1 > /1\nRUN echo 2 > /2\n" +
		"FROM base\nENV A=1\nWORKDIR /app\nCOPY --from=one /all /src/d1 ./\nRUN echo 3 > /3\nCOPY d0 /d0\nRUN echo 4 > /4\nCMD x\n"
	build(b, store, text, dir)
	var took []time.Duration
	before := cpu()
	for b.Loop() {
		begin := time.Now()
		builder := builder(b, store, text, dir)
		_, err := builder.Build(b.Context(), "docker.io/library/made:latest")
		took = append(took, time.Since(begin))
		check.NoError(b, "Build", err)
		check.Equal(b, "steps that ran", 0, builder.Ran)
	}
	b.ReportMetric((cpu()-before).Seconds()*1000/float64(len(took)), "cpu-ms")
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took[len(took)/2].Seconds()*1000, "ms")
	b.ReportMetric(took[len(took)-1].Seconds()*1000, "max-ms")
}

// cpu is the time that this process had: on a busy machine it says more than a clock.
func cpu() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
