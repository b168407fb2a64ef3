package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"

	"coracle/04-runtime/driver"
)

// Security merges the pod's security context with the container's, which wins field by
// field. imageUser is the image's, against which runAsNonRoot is held.
func Security(pod *corev1.Pod, c *corev1.Container, imageUser string, node Node) (driver.Security, error) {
	sc, psc := c.SecurityContext, pod.Spec.SecurityContext
	if sc == nil {
		sc = &corev1.SecurityContext{}
	}
	if psc == nil {
		psc = &corev1.PodSecurityContext{}
	}
	s := driver.Security{
		User:         either(sc.RunAsUser, psc.RunAsUser),
		Group:        either(sc.RunAsGroup, psc.RunAsGroup),
		Groups:       append([]int64(nil), psc.SupplementalGroups...),
		StrictGroups: psc.SupplementalGroupsPolicy != nil && *psc.SupplementalGroupsPolicy == corev1.SupplementalGroupsPolicyStrict,
		Privileged:   isTrue(sc.Privileged),
		ReadonlyRoot: isTrue(sc.ReadOnlyRootFilesystem),
		NoNewPrivs:   sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation,
		Unmasked:     sc.ProcMount != nil && *sc.ProcMount == corev1.UnmaskedProcMount,
	}
	if psc.FSGroup != nil {
		s.Groups = append(s.Groups, *psc.FSGroup)
	}
	if sc.Capabilities != nil {
		s.Add, s.Drop = capabilities(sc.Capabilities.Add), capabilities(sc.Capabilities.Drop)
	}
	if s.Unmasked && (pod.Spec.HostUsers == nil || *pod.Spec.HostUsers) {
		return s, fmt.Errorf("procMount Unmasked of container %s: `hostUsers` must be false to use it", c.Name)
	}
	if isTrue(either(sc.RunAsNonRoot, psc.RunAsNonRoot)) {
		if err := nonRoot(pod, c, s.User, imageUser); err != nil {
			return s, err
		}
	}
	err := seccomp(&s, either(sc.SeccompProfile, psc.SeccompProfile), node)
	return s, err
}

// nonRoot verifies that a container's user is not root: by number, since what a name
// means is in the image's passwd, which the image's maker wrote.
func nonRoot(pod *corev1.Pod, c *corev1.Container, user *int64, imageUser string) error {
	at := fmt.Sprintf("(pod: %q, container: %s)", fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID), c.Name)
	if user != nil {
		if *user == 0 {
			return fmt.Errorf("container's runAsUser breaks non-root policy %s", at)
		}
		return nil
	}
	name, _, _ := strings.Cut(imageUser, ":")
	switch id, err := strconv.ParseInt(name, 10, 64); {
	case name == "" || err == nil && id == 0:
		return fmt.Errorf("container has runAsNonRoot and image will run as root %s", at)
	case err != nil || id < 0:
		return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root %s", name, at)
	}
	return nil
}

// seccomp: no profile named is the driver's default here, as the kubelet's --seccomp-default has it.
func seccomp(s *driver.Security, p *corev1.SeccompProfile, node Node) error {
	switch {
	case p == nil || p.Type == corev1.SeccompProfileTypeRuntimeDefault:
		return nil
	case p.Type == corev1.SeccompProfileTypeUnconfined:
		s.Unconfined = true
		return nil
	case p.Type != corev1.SeccompProfileTypeLocalhost || p.LocalhostProfile == nil:
		return fmt.Errorf("unknown seccomp profile type %q", p.Type)
	}
	if node.SeccompProfiles == "" {
		return fmt.Errorf("seccomp profile %s: this node has no folder of profiles", *p.LocalhostProfile)
	}
	root, err := os.OpenRoot(node.SeccompProfiles) // nothing outside of it, by no link either
	if err != nil {
		return err
	}
	defer root.Close()
	data, err := root.ReadFile(*p.LocalhostProfile)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot load seccomp profile %q: no such file in %s", *p.LocalhostProfile, node.SeccompProfiles)
		}
		return fmt.Errorf("cannot load seccomp profile %q: %w", *p.LocalhostProfile, err)
	}
	s.Seccomp = new(specs.LinuxSeccomp)
	if err := json.Unmarshal(data, s.Seccomp); err != nil {
		return fmt.Errorf("seccomp profile %q: %w", *p.LocalhostProfile, err)
	}
	if s.Seccomp.DefaultAction == "" { // would be no filter at all, in silence
		return fmt.Errorf("seccomp profile %q: no defaultAction", *p.LocalhostProfile)
	}
	return nil
}

// capabilities are the driver's names: "NET_ADMIN", though people write "CAP_NET_ADMIN".
func capabilities(all []corev1.Capability) (names []string) {
	for _, c := range all {
		names = append(names, strings.TrimPrefix(strings.ToUpper(string(c)), "CAP_"))
	}
	return names
}

func either[T any](first, second *T) *T {
	if first != nil {
		return first
	}
	return second
}
