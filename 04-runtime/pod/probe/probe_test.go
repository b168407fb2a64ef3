package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"coracle/internal/check"
)

func TestTally(t *testing.T) {
	for _, c := range []struct {
		success, failure int32
		answers, want    string // "+" well, "-" ill, "?" no verdict yet
	}{
		{1, 3, "+--+", "++++"},
		{1, 3, "+---+", "+++-+"},
		{1, 3, "--+---", "??+++-"},
		{2, 1, "-+++-+", "--++--"},
		{2, 3, "++-+-+---", "?+++++++-"},
		{0, 0, "+-", "+-"},
	} {
		var tally Tally
		got := ""
		for _, a := range c.answers {
			answer := Success
			if a == '-' {
				answer = Failure
			}
			got += map[Result]string{Unknown: "?", Success: "+", Failure: "-"}[tally.Add(&corev1.Probe{SuccessThreshold: c.success, FailureThreshold: c.failure}, answer)]
		}
		check.Equal(t, fmt.Sprintf("verdicts on %s (success %d, failure %d)", c.answers, c.success, c.failure), c.want, got,
			check.Often(strings.HasPrefix(c.answers, "+--+") && strings.Contains(got, "-"), "failures are counted that are not in a row"),
			check.Often(c.success == 2, "the success threshold is taken for 1"))
	}
}

// asked is what a worker did, at seconds since its container started.
type asked struct {
	mu       sync.Mutex
	began    time.Time
	at       []float64 // questions
	verdicts []string  // "10.0 Success"
	answers  []error
	running  int
	most     int
}

// watch runs a worker in a bubble of synctest, until it ends or for some seconds.
func watch(t *testing.T, kind Kind, p corev1.Probe, up <-chan struct{}, runFor time.Duration, answer func(ctx context.Context, n int) error) (*asked, bool) {
	t.Helper()
	a := &asked{began: time.Now()}
	w := &Worker{Kind: kind, Probe: &p, Started: a.began, Up: up}
	w.Check = func(ctx context.Context) error {
		a.mu.Lock()
		n := len(a.at)
		a.at = append(a.at, time.Since(a.began).Seconds())
		a.running++
		a.most = max(a.most, a.running)
		a.mu.Unlock()
		err := answer(ctx, n)
		a.mu.Lock()
		a.running--
		a.mu.Unlock()
		return err
	}
	w.Report = func(v Result, err error) {
		a.verdicts = append(a.verdicts, fmt.Sprintf("%.0f %s", time.Since(a.began).Seconds(), map[Result]string{Unknown: "?", Success: "+", Failure: "-"}[v]))
		a.answers = append(a.answers, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), runFor)
	defer cancel()
	w.Run(ctx)
	ended := ctx.Err() == nil
	a.mu.Lock()
	defer a.mu.Unlock()
	check.Equal(t, "questions under way after Run returned", 0, a.running)
	return a, ended
}

func TestWorker_AsksInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := corev1.Probe{InitialDelaySeconds: 5, PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 2}
		a, ended := watch(t, Readiness, p, nil, 47*time.Second, func(_ context.Context, n int) error {
			if n == 1 || n == 2 {
				return errors.New("not well")
			}
			return nil
		})
		check.Equal(t, "seconds at which it asked", []float64{5, 15, 25, 35, 45}, a.at,
			check.Often(len(a.at) > 0 && a.at[0] == 0, "the initial delay is left out"),
			check.Often(len(a.at) > 0 && a.at[0] == 15, "the first question is put a period after the delay"))
		check.Equal(t, "verdicts", []string{"5 +", "15 +", "25 -", "35 +", "45 +"}, a.verdicts)
		check.Equal(t, "a readiness probe ends by itself", false, ended)
	})
}

func TestWorker_WaitsForStartup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := make(chan struct{})
		go func() { time.Sleep(21 * time.Second); close(up) }()
		p := corev1.Probe{InitialDelaySeconds: 5, PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 1}
		a, _ := watch(t, Liveness, p, up, 45*time.Second, func(context.Context, int) error { return nil })
		check.Equal(t, "seconds at which a liveness probe asks whose container is up at 21", []float64{21, 31, 41}, a.at,
			check.Often(len(a.at) > 0 && a.at[0] == 5, "liveness does not wait for the startup probe"))
	})
	synctest.Test(t, func(t *testing.T) { // never up
		a, _ := watch(t, Readiness, corev1.Probe{PeriodSeconds: 1, TimeoutSeconds: 1}, make(chan struct{}), time.Minute, func(context.Context, int) error { return nil })
		check.Equal(t, "questions while the container is not up", 0, len(a.at))
	})
}

func TestWorker_Ends(t *testing.T) {
	p := corev1.Probe{PeriodSeconds: 2, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3}
	ill := func(context.Context, int) error { return errors.New("ill") }
	wellAtThird := func(_ context.Context, n int) error {
		if n < 2 {
			return errors.New("not yet")
		}
		return nil
	}
	for _, c := range []struct {
		kind   Kind
		answer func(context.Context, int) error
		want   []string
		ends   bool
	}{
		{Startup, wellAtThird, []string{"0 ?", "2 ?", "4 +"}, true},
		{Startup, ill, []string{"0 ?", "2 ?", "4 -"}, true},
		{Liveness, ill, []string{"0 ?", "2 ?", "4 -"}, true},
		{Readiness, ill, []string{"0 ?", "2 ?", "4 -", "6 -"}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, ended := watch(t, c.kind, p, nil, 7*time.Second, c.answer)
			check.Equal(t, string(c.kind)+" verdicts in 7 s", c.want, a.verdicts,
				check.Often(c.kind == Startup, "a startup probe goes on after its verdict"),
				check.Often(c.kind == Liveness, "a container that is going to be killed is asked again"))
			check.Equal(t, string(c.kind)+" ended by itself", c.ends, ended)
		})
	}
}

func TestWorker_NoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := corev1.Probe{PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 2}
		a, ended := watch(t, Liveness, p, nil, 65*time.Second, func(_ context.Context, n int) error {
			switch n {
			case 0, 5:
				return nil
			case 2:
				return errors.New("ill")
			}
			return fmt.Errorf("exec: %w", ErrNoAnswer)
		})
		check.Equal(t, "verdicts", []string{"0 +", "20 +", "50 +"}, a.verdicts,
			check.Often(ended, "a runtime that cannot ask costs the container its life"))
	})
}

func TestWorker_Hangs(t *testing.T) {
	p := corev1.Probe{PeriodSeconds: 10, TimeoutSeconds: 3, SuccessThreshold: 1, FailureThreshold: 1}
	synctest.Test(t, func(t *testing.T) { // it ends with its context
		a, _ := watch(t, Readiness, p, nil, 25*time.Second, func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() })
		check.Equal(t, "questions that end at their timeout of 3 s", []float64{0, 10, 20}, a.at)
		check.Equal(t, "verdicts", []string{"3 -", "13 -", "23 -"}, a.verdicts,
			check.Often(len(a.verdicts) == 0, "the question gets no context that ends at the timeout"))
		check.ErrorIs(t, "the answer", a.answers[0], context.DeadlineExceeded)
		check.ErrorHas(t, "the answer", a.answers[0], []string{"no answer within 3s"})
	})
	synctest.Test(t, func(t *testing.T) { // it does not; then it does, and the next is well
		a, _ := watch(t, Readiness, p, nil, 45*time.Second, func(ctx context.Context, n int) error {
			if n == 0 {
				time.Sleep(28 * time.Second)
			}
			return nil
		})
		check.Equal(t, "most questions at once", 1, a.most, check.Often(a.most > 1, "a question that hangs does not keep the next from being put"))
		check.Equal(t, "seconds at which it asked", []float64{0, 30, 40}, a.at)
		check.Equal(t, "verdicts", []string{"3 -", "10 -", "20 -", "30 +", "40 +"}, a.verdicts,
			check.Often(len(a.verdicts) > 0 && strings.HasPrefix(a.verdicts[0], "28"), "the worker waits for the question instead of its timeout"))
	})
	synctest.Test(t, func(t *testing.T) { // and it is stopped meanwhile
		a, _ := watch(t, Readiness, p, nil, 5*time.Second, func(context.Context, int) error { time.Sleep(28 * time.Second); return nil })
		check.Equal(t, "verdicts", []string{"3 -"}, a.verdicts)
	})
}
