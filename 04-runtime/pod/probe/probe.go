package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Exercise 4.9: probes
//
// A program that runs is not a program that works. Three probes ask it: startup,
// whether it has come up; liveness, whether it must be restarted; readiness, whether it
// can be sent requests. One answer means little, so answers are counted: as many in a
// row as the threshold says make a verdict, and until then the old one stands.
//
//	delay      period    period    period                      failureThreshold 3
//	|───────────ok────────fail──────fail──────fail
//	 (Unknown)    Success   Success   Success   Failure
//
// Kubernetes: pkg/kubelet/prober/worker.go (doProbe); the fields are documented at
// k8s.io/api/core/v1, type Probe, and have been defaulted.

// A Tally counts one probe's answers. The zero value has none.
type Tally struct {
	verdict, last Result
	run           int // how many answers like last came in a row
}

// Add counts an answer (Success or Failure) and returns the verdict: the answer, once
// it came SuccessThreshold or FailureThreshold times in a row, and else what it was
// before, which is Unknown at first. A threshold below 1 counts as 1.
func (t *Tally) Add(p *corev1.Probe, answer Result) Result {
	if answer != t.last {
		t.last, t.run = answer, 0
	}
	t.run++
	threshold := p.SuccessThreshold
	if answer == Failure {
		threshold = p.FailureThreshold
	}
	if t.run >= int(threshold) {
		t.verdict = answer
	}
	return t.verdict
}

// A Worker is one probe of one container.
type Worker struct {
	Kind    Kind
	Probe   *corev1.Probe
	Started time.Time // of the container

	// Up is closed when the container's startup probe has succeeded; nil if it has none,
	// and for the startup probe itself.
	Up <-chan struct{}

	// Check asks once: nil is success, an ErrNoAnswer says nothing, any other error is
	// failure. It returns soon after ctx ends, or the worker waits.
	Check func(ctx context.Context) error

	// Report is called after each answer that says something, with the verdict so far.
	Report func(verdict Result, answer error)
}

// Run asks until ctx ends, or nothing more can come of it: a startup probe has a
// verdict, a liveness probe has failed (the container is going to be killed). When it
// returns, no Check runs any more.
//
// The first question is put InitialDelaySeconds after Started, or when Up closes if
// that is later, and one each PeriodSeconds after it. A question that takes longer
// than TimeoutSeconds is answered at that moment, with an error that says so and is a
// context.DeadlineExceeded; its ctx ends too. If it has not returned at the next
// period, then there is no new question and the answer is that error again. An answer
// that is an ErrNoAnswer is neither counted nor reported.
//
// May use: context.WithTimeout, time.NewTicker, a channel of size 1 for the answer.
func (w *Worker) Run(ctx context.Context) {
	if !refUntil(ctx, w.Started.Add(refSeconds(w.Probe.InitialDelaySeconds, 0))) {
		return
	}
	if w.Up != nil {
		select {
		case <-w.Up:
		case <-ctx.Done():
			return
		}
	}
	tick := time.NewTicker(refSeconds(w.Probe.PeriodSeconds, time.Second))
	defer tick.Stop()

	var tally Tally
	var pending chan error // of the question that has not returned
	for ctx.Err() == nil {
		var answer error
		pending, answer = w.refAsk(ctx, pending)
		if ctx.Err() != nil {
			break // the answer is that we were stopped
		}
		if !errors.Is(answer, ErrNoAnswer) {
			verdict := tally.Add(w.Probe, refResult(answer))
			w.Report(verdict, answer)
			if (w.Kind == Startup && verdict != Unknown) || (w.Kind == Liveness && verdict == Failure) {
				break
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	if pending != nil {
		<-pending
	}
}

// refAsk puts a question if none is pending, and returns the answer, with what is
// pending after it.
func (w *Worker) refAsk(ctx context.Context, pending chan error) (chan error, error) {
	timeout := refSeconds(w.Probe.TimeoutSeconds, time.Second)
	late := fmt.Errorf("no answer within %v: %w", timeout, context.DeadlineExceeded)
	select {
	case <-pending:
		pending = nil
	default:
	}
	if pending != nil {
		return pending, late
	}
	asking, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	pending = make(chan error, 1)
	go func(c chan<- error) { c <- w.Check(asking) }(pending)
	select {
	case answer := <-pending:
		if errors.Is(answer, context.DeadlineExceeded) {
			answer = late
		}
		return nil, answer
	case <-asking.Done():
		return pending, late
	}
}

// refUntil waits until t; false if ctx ended first.
func refUntil(ctx context.Context, t time.Time) bool {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// refSeconds is a field in seconds, at least what would work.
func refSeconds(n int32, least time.Duration) time.Duration {
	return max(time.Duration(n)*time.Second, least)
}

func refResult(answer error) Result {
	if answer != nil {
		return Failure
	}
	return Success
}
