package pod

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"coracle/04-runtime/driver"
	"coracle/internal/check"
)

func TestBackoff_Doubles(t *testing.T) {
	var b Backoff
	now, waits := noon, []float64{}
	for range 9 { // start, run for a second, fail, wait
		failed := now.Add(time.Second)
		if until := b.Until(CrashLoop, failed, failed); until.IsZero() {
			now = failed
			waits = append(waits, 0)
		} else {
			now = until
			waits = append(waits, until.Sub(failed).Seconds())
		}
		b = b.Next(CrashLoop, now)
	}
	check.Equal(t, "seconds from each failure to the next start", []float64{0, 10, 20, 40, 80, 160, 300, 300, 300}, waits,
		check.Often(waits[0] != 0, "the first failure waits already"), check.Often(waits[8] > 300, "the wait grows without an end"))
}

func TestBackoff_Resets(t *testing.T) {
	b := Backoff{Delay: 160 * time.Second, Tried: noon}
	for _, c := range []struct {
		failed float64 // seconds after the start that made it 160 s
		wait   float64
		next   float64
	}{{30, 160, 300}, {439, 160, 300}, {599, 1, 10}, {600, 0, 10}, {7200, 0, 10}} {
		until := b.Until(CrashLoop, at(c.failed), at(c.failed))
		got := 0.0
		if !until.IsZero() {
			got = until.Sub(at(c.failed)).Seconds()
		}
		if c.failed == 599 { // what was a back-off at the failure is none a second later
			until = b.Until(CrashLoop, at(c.failed), at(600))
			check.True(t, "ten minutes after the start", until.IsZero(), "a wait until "+until.String(), "none")
		} else {
			check.Equal(t, fmt.Sprintf("the wait after a failure at %v s", c.failed), c.wait, got)
		}
		tried := at(c.failed + got)
		if c.failed == 599 {
			tried = at(600)
		}
		check.Equal(t, fmt.Sprintf("the delay after a failure at %v s", c.failed), c.next, b.Next(CrashLoop, tried).Delay.Seconds(),
			check.Often(c.next == 10, "a container that ran well for long is punished for its past"))
	}
}

func TestBackoff_ClockSetBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, now := Backoff{}, noon
		for range rapid.IntRange(1, 30).Draw(t, "starts") {
			b = b.Next(CrashLoop, now)
			now = now.Add(time.Duration(rapid.Int64Range(int64(-48*time.Hour), int64(time.Hour)).Draw(t, "jump")))
			failed := now.Add(time.Duration(rapid.Int64Range(int64(-2*time.Hour), int64(2*time.Hour)).Draw(t, "failed")))
			until := b.Until(CrashLoop, failed, now)
			if b.Delay < CrashLoop.First || b.Delay > CrashLoop.Max {
				t.Fatalf("a delay of %v", b.Delay)
			}
			if !until.IsZero() && until.Sub(now) > CrashLoop.Max {
				t.Fatalf("a wait of %v: often this is a time that lies ahead, taken for one just now", until.Sub(now))
			}
			if !until.IsZero() && !until.After(now) {
				t.Fatalf("a wait until %v, which has passed at %v", until, now)
			}
		}
	})
}

func TestShouldRestart(t *testing.T) {
	for _, c := range []struct {
		pod, own, rules string
		init            bool
		exits           map[int]bool
	}{
		{pod: "Always", exits: map[int]bool{0: true, 1: true}},
		{pod: "OnFailure", exits: map[int]bool{0: false, 1: true, 137: true}},
		{pod: "Never", exits: map[int]bool{0: false, 1: false}},
		{pod: "Never", own: "Always", exits: map[int]bool{0: true, 1: true}},
		{pod: "Always", own: "Never", exits: map[int]bool{0: false, 1: false}},
		{pod: "Never", own: "Never", rules: "[{action: Restart, exitCodes: {operator: In, values: [42, 43]}}]", exits: map[int]bool{42: true, 43: true, 1: false, 0: false}},
		{pod: "Never", own: "Never", rules: "[{action: Restart, exitCodes: {operator: NotIn, values: [0, 3]}}]", exits: map[int]bool{1: true, 3: false, 0: false}},
		{pod: "Never", own: "Never", rules: "[{action: RestartAllContainers, exitCodes: {operator: In, values: [1]}}]", exits: map[int]bool{1: false}},
		{pod: "Always", init: true, exits: map[int]bool{0: false, 1: true}},
		{pod: "OnFailure", init: true, exits: map[int]bool{0: false, 1: true}},
		{pod: "Never", init: true, exits: map[int]bool{0: false, 1: false}},
		{pod: "Never", init: true, own: "Always", exits: map[int]bool{0: true, 1: true}},
	} {
		list, other := "containers", ""
		if c.init {
			list, other = "initContainers", "\ncontainers: [{name: b, image: x}]"
		}
		container := "name: a, image: x"
		if c.own != "" {
			container += ", restartPolicy: " + c.own
		}
		if c.rules != "" {
			container += ", restartPolicyRules: " + c.rules
		}
		pod := manifest(t, fmt.Sprintf("restartPolicy: %s\n%s: [{%s}]%s", c.pod, list, container, other))
		for exit, want := range c.exits {
			got := ShouldRestart(pod, Find(pod, "a"), c.init, exit)
			check.Equal(t, fmt.Sprintf("restart after %d of %s: {%s} in a pod of %s", exit, list, container, c.pod), want, got,
				check.Often(c.init && exit == 0 && got, "an init container that did its work runs again"),
				check.Often(c.own != "" && c.rules == "", "the pod's policy is asked before the container's own"))
		}
	}
}

func TestHistory_StartAfter(t *testing.T) {
	exited := &driver.ContainerStatus{State: driver.Exited, FinishedAt: at(100)}
	crash := Backoff{Delay: 20 * time.Second, Tried: at(90)}
	pull := Backoff{Delay: 40 * time.Second, Tried: at(95)}
	failed := &Failure{Reason: ErrImagePull, At: at(95)}
	for _, c := range []struct {
		what string
		h    History
		last *driver.ContainerStatus
		want time.Time
	}{
		{"nothing happened", History{}, nil, time.Time{}},
		{"it exited", History{Restarts: crash}, exited, at(120)},
		{"it exited to be replaced", History{Restarts: crash, Replace: true}, exited, time.Time{}},
		{"its image could not be pulled", History{Retries: pull, Failure: failed}, nil, at(135)},
		{"both", History{Restarts: crash, Retries: pull, Failure: failed}, exited, at(135)},
		{"the pull went well since", History{Retries: pull}, nil, time.Time{}},
	} {
		check.Equal(t, "the next start when "+c.what, c.want, c.h.StartAfter(c.last, at(101)))
	}
}

func TestHistory_Started(t *testing.T) {
	exited := &driver.ContainerStatus{State: driver.Exited, FinishedAt: at(100)}
	crash := Backoff{Delay: 20 * time.Second, Tried: at(90)}
	h := History{Restarts: crash}.Failed(ErrImagePull, "no", at(100))
	check.Equal(t, "after a failed pull", History{Restarts: crash, Retries: Backoff{10 * time.Second, at(100)}, Failure: &Failure{ErrImagePull, "no", at(100)}}, h)
	check.Equal(t, "started again", History{Restarts: Backoff{40 * time.Second, at(110)}, Retries: h.Retries}, h.Started(exited, at(110)))
	h.Replace = true
	check.Equal(t, "started in place of one that was replaced", History{Restarts: crash, Retries: h.Retries}, h.Started(exited, at(110)))
	check.Equal(t, "started for the first time", History{}, History{}.Started(nil, at(110)))
}
