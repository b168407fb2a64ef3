package pod

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"coracle/04-runtime/driver"
	"coracle/04-runtime/pod/probe"
)

// A node is an agent and a runtime in a few lines: it does what Decide says, in any
// order, holds Decide to its promises, and lets the world go wrong in between.
type node struct {
	*rapid.T
	pod *corev1.Pod
	k   Known
	n   int // for IDs
}

// perform carries out actions and fails on one that Decide must not ask for.
func (n *node) perform(a Actions) {
	if a.Finish != nil {
		if words(Actions{Finish: a.Finish}) != words(a) {
			n.Fatalf("beside the end there are other actions: %s", words(a))
		}
		n.k.Over, n.k.Ending = a.Finish, n.k.Now
		return
	}
	alive := func(name string) (all []string) {
		for _, c := range n.k.Containers {
			if Alive(c) && (name == "" || c.Name == name) {
				all = append(all, c.ID)
			}
		}
		return all
	}
	ready := n.k.Sandbox() != nil && n.k.Sandbox().Ready
	for _, id := range a.StopSandboxes {
		n.stopSandbox(id)
	}
	if a.CreateSandbox {
		if ready || len(alive("")) > 0 {
			n.Fatalf("a second sandbox, beside %+v and %v", n.k.Sandboxes, alive(""))
		}
		n.n++
		attempt := 0
		if s := n.k.Sandbox(); s != nil {
			attempt = s.Attempt + 1
		}
		n.k.Sandboxes = append(n.k.Sandboxes, driver.SandboxStatus{ID: fmt.Sprint("s", n.n), Attempt: attempt, Ready: true, CreatedAt: n.k.Now})
	}
	for _, s := range rapid.Permutation(a.Start).Draw(n.T, "order") {
		if len(alive(s.Name)) > 0 {
			n.Fatalf("start %s, of which %v is alive", s.Name, alive(s.Name))
		}
		if !ready {
			n.Fatalf("start %s without a sandbox", s.Name)
		}
		h, last := n.k.Histories[s.Name], n.k.Latest(s.Name)
		if last != nil && s.Attempt != last.Attempt+1 {
			n.Fatalf("start %s as attempt %d after %d", s.Name, s.Attempt, last.Attempt)
		}
		if t := h.StartAfter(last, n.k.Now); !t.IsZero() {
			n.Fatalf("start %s before its back-off is over", s.Name)
		}
		n.inOrder(s.Name)
		if rapid.IntRange(0, 9).Draw(n.T, "pull") == 0 {
			n.k.Histories[s.Name] = h.Failed(ErrImagePull, "no such image", n.k.Now)
			continue
		}
		n.k.Histories[s.Name] = h.Started(last, n.k.Now)
		n.n++
		n.k.Containers = append(n.k.Containers, driver.ContainerStatus{ID: fmt.Sprint("c", n.n), Sandbox: n.k.Sandbox().ID, Name: s.Name, Attempt: s.Attempt,
			State: driver.Running, CreatedAt: n.k.Now, StartedAt: n.k.Now})
	}
	for _, kill := range a.Kill {
		i := slices.IndexFunc(n.k.Containers, func(c driver.ContainerStatus) bool { return c.ID == kill.ID })
		if i < 0 || !Alive(n.k.Containers[i]) {
			n.Fatalf("kill %s, which does not run", kill.ID)
		}
		n.exit(i, 137)
		if kill.Replace {
			h := n.k.Histories[kill.Name]
			h.Replace = true
			n.k.Histories[kill.Name] = h
		}
	}
}

// inOrder fails if a container is started before its turn.
func (n *node) inOrder(name string) {
	for i := range n.pod.Spec.InitContainers {
		c := &n.pod.Spec.InitContainers[i]
		if c.Name == name || name == "debug" {
			return
		}
		have := n.k.Current(c.Name)
		through := have != nil && (IsSidecar(c) || have.ExitCode == 0 && have.State == driver.Exited)
		if !through {
			n.Fatalf("start %s, while init container %s is at %+v", name, c.Name, have)
		}
	}
}

func (n *node) exit(i, code int) {
	c := &n.k.Containers[i]
	c.State, c.ExitCode, c.FinishedAt = driver.Exited, code, n.k.Now
}

func (n *node) stopSandbox(id string) {
	for i := range n.k.Sandboxes {
		if n.k.Sandboxes[i].ID == id {
			n.k.Sandboxes[i].Ready = false
		}
	}
	for i := range n.k.Containers {
		if n.k.Containers[i].Sandbox == id && Alive(n.k.Containers[i]) {
			n.exit(i, 137)
		}
	}
}

// befall lets something happen that nobody asked for.
func (n *node) befall() {
	n.k.Now = n.k.Now.Add(time.Duration(rapid.Int64Range(int64(-time.Minute), int64(3*time.Minute)).Draw(n.T, "time")))
	if len(n.k.Containers) > 0 {
		i := rapid.IntRange(0, len(n.k.Containers)-1).Draw(n.T, "container")
		c := &n.k.Containers[i]
		switch rapid.SampledFrom([]string{"exit", "exit", "probe", "unknown", "sandbox", "relabel", "nothing"}).Draw(n.T, "event") {
		case "exit":
			if Alive(*c) {
				n.exit(i, rapid.SampledFrom([]int{0, 0, 1, 42, 137}).Draw(n.T, "code"))
			}
		case "probe":
			result := rapid.SampledFrom([]probe.Result{probe.Unknown, probe.Success, probe.Failure})
			n.k.Probes[c.ID] = probe.Results{Startup: result.Draw(n.T, "startup"), Liveness: result.Draw(n.T, "liveness")}
		case "unknown":
			if Alive(*c) {
				c.State = driver.Unknown
			}
		case "relabel":
			c.Annotations = map[string]string{AnnotationHash: "other"}
		case "sandbox":
			if rapid.Bool().Draw(n.T, "processes die with it") {
				n.stopSandbox(c.Sandbox)
			} else {
				n.k.Sandboxes[len(n.k.Sandboxes)-1].Ready = false
			}
		}
	}
	if rapid.IntRange(0, 30).Draw(n.T, "delete") == 0 {
		n.pod.DeletionTimestamp = &metav1.Time{Time: n.k.Now}
	}
}

// settle lets programs do well from now on, and expects that the pod comes to rest.
func (n *node) settle() {
	for range 200 {
		a := Decide(n.pod, n.k)
		n.perform(a)
		busy := words(a) != ""
		if a.Finish != nil {
			return
		}
		if !a.Wake.IsZero() && a.Wake.After(n.k.Now) && words(Actions{Wake: a.Wake}) == words(a) {
			n.k.Now = a.Wake
		}
		for i, c := range n.k.Containers {
			if c.State != driver.Running {
				continue
			}
			spec, init := find(n.pod, c.Name)
			if init && !IsSidecar(spec) {
				n.exit(i, 0)
				busy = true
			} else if n.k.Probes[c.ID].Startup != probe.Success && n.k.Probes[c.ID].Liveness != probe.Failure {
				n.k.Probes[c.ID] = probe.Results{Startup: probe.Success}
				busy = true
			}
		}
		if !busy {
			for i := range n.pod.Spec.Containers {
				c := &n.pod.Spec.Containers[i]
				if have := n.k.Latest(c.Name); have == nil || (have.State != driver.Running && n.k.Again(n.pod, c, false, have)) {
					n.Fatalf("the pod rests, but %s is at %+v", c.Name, have)
				}
			}
			return
		}
	}
	n.Fatalf("no rest: the last actions were %s", words(Decide(n.pod, n.k)))
}

// end terminates the pod; hooks and programs end in their own time.
func (n *node) end() {
	order := StopOrder(n.pod)
	for range 100 {
		t := Terminate(n.pod, n.k)
		if t.Done {
			return
		}
		late := !n.k.Now.Before(n.k.Ending.Add(Grace(n.pod, nil, ReasonPod)))
		for _, id := range t.Hooks {
			if n.k.Stops[id].Hook {
				n.Fatalf("the hook of %s runs twice", id)
			}
			n.k.Stops[id] = Stopping{Hook: true}
		}
		for _, s := range t.Stop {
			if s.Grace < MinGrace {
				n.Fatalf("%s gets %v", s.ID, s.Grace)
			}
			for _, names := range order {
				if slices.Contains(names, s.Name) || late {
					break
				}
				for _, c := range n.k.Containers {
					if Alive(c) && slices.Contains(names, c.Name) {
						n.Fatalf("%s is asked to exit before %s has", s.Name, c.Name)
					}
				}
			}
			stopping := n.k.Stops[s.ID]
			stopping.Deadline = s.Asked
			n.k.Stops[s.ID] = stopping
		}
		n.k.Now = n.k.Now.Add(time.Duration(rapid.IntRange(0, 10).Draw(n.T, "seconds")) * time.Second)
		for i, c := range n.k.Containers {
			s := n.k.Stops[c.ID]
			if s.Hook && rapid.Bool().Draw(n.T, "hook over") {
				s.HookDone = true
				n.k.Stops[c.ID] = s
			}
			asked := !s.Deadline.IsZero()
			if Alive(c) && asked && (!n.k.Now.Before(s.Deadline) || rapid.Bool().Draw(n.T, "exits")) {
				n.exit(i, 143)
			}
		}
	}
	n.Fatalf("no end: %s", ending(Terminate(n.pod, n.k)))
}

// TestDecide_HoldsItsPromises runs pods through all kinds of luck: nothing ever runs
// twice or before its turn, the pod comes to rest, and it ends.
func TestDecide_HoldsItsPromises(t *testing.T) {
	specs := []string{two, inits, sidecars, hooked, inits + "\nephemeralContainers: [{name: debug, image: x}]"}
	rapid.Check(t, func(rt *rapid.T) {
		policy := rapid.SampledFrom([]string{"Always", "OnFailure", "Never"}).Draw(rt, "policy")
		pod := manifest(t, "restartPolicy: "+policy+"\n"+rapid.SampledFrom(specs).Draw(rt, "spec"))
		n := &node{T: rt, pod: pod, k: Known{Now: noon, Probes: map[string]probe.Results{}, Histories: map[string]History{}, Stops: map[string]Stopping{}}}
		for range rapid.IntRange(0, 40).Draw(rt, "steps") {
			n.perform(Decide(n.pod, n.k))
			n.status()
			n.befall()
			n.status()
		}
		n.settle()
		n.status()
		if n.k.Over == nil {
			n.k.Over, n.k.Ending = &Over{}, n.k.Now
		}
		n.end()
		if p := n.status(); p != corev1.PodSucceeded && p != corev1.PodFailed {
			rt.Fatalf("the pod has ended and its phase is %s", p)
		}
	})
}

// status computes the pod's, remembers it as the API would, and checks that it makes sense.
func (n *node) status() corev1.PodPhase {
	old := n.pod.Status.Phase
	s := Status(n.pod, n.k, "coracle")
	if (old == corev1.PodSucceeded || old == corev1.PodFailed) && s.Phase != old {
		n.Fatalf("a pod that was %s is %s", old, s.Phase)
	}
	for _, c := range append(append(s.InitContainerStatuses, s.ContainerStatuses...), s.EphemeralContainerStatuses...) {
		if bit(c.State.Waiting != nil)+bit(c.State.Running != nil)+bit(c.State.Terminated != nil) != 1 {
			n.Fatalf("%s has not one state: %+v", c.Name, c.State)
		}
		if c.State.Running != nil && (s.Phase == corev1.PodSucceeded || s.Phase == corev1.PodFailed) {
			n.Fatalf("%s runs in a pod that is %s", c.Name, s.Phase)
		}
	}
	n.pod.Status = s
	return s.Phase
}
