package pod

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Validate says what is wrong with a pod, in the API's words (pkg/apis/core/validation):
// every error names its field. It looks at what this node relies on; what no node
// honours is Unsupported's to tell. Defaults have been set.
func Validate(pod *corev1.Pod) error {
	v := &validator{pod: pod, names: map[string]bool{}, volumes: map[string]bool{}, ports: map[string]bool{}}
	meta, spec := field.NewPath("metadata"), field.NewPath("spec")
	v.text(meta.Child("name"), pod.Name, validation.IsDNS1123Subdomain)
	v.text(meta.Child("namespace"), pod.Namespace, validation.IsDNS1123Label)
	v.podSpec(spec, &pod.Spec)
	slices.SortStableFunc(v.errs, func(a, b *field.Error) int { return cmp.Compare(a.Field, b.Field) })
	if len(v.errs) == 0 {
		return nil // and not an Aggregate that is nil
	}
	return v.errs.ToAggregate()
}

type validator struct {
	pod                   *corev1.Pod
	errs                  field.ErrorList
	names, volumes, ports map[string]bool
}

func (v *validator) podSpec(at *field.Path, s *corev1.PodSpec) {
	v.oneOf(at.Child("restartPolicy"), string(s.RestartPolicy), "Always", "OnFailure", "Never")
	v.oneOf(at.Child("dnsPolicy"), string(s.DNSPolicy), "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
	v.check(s.TerminationGracePeriodSeconds == nil || *s.TerminationGracePeriodSeconds >= 0, at.Child("terminationGracePeriodSeconds"), s.TerminationGracePeriodSeconds, "must be greater than or equal to 0")
	v.check(s.ActiveDeadlineSeconds == nil || *s.ActiveDeadlineSeconds > 0, at.Child("activeDeadlineSeconds"), s.ActiveDeadlineSeconds, "must be greater than 0")
	if s.Hostname != "" {
		v.text(at.Child("hostname"), s.Hostname, validation.IsDNS1123Label)
	}
	if s.HostUsers != nil && !*s.HostUsers {
		for name, on := range map[string]bool{"hostNetwork": s.HostNetwork, "hostPID": s.HostPID, "hostIPC": s.HostIPC} {
			if on {
				v.forbid(at.Child(name), "when `hostUsers` is false")
			}
		}
	}
	if s.HostPID && s.ShareProcessNamespace != nil && *s.ShareProcessNamespace {
		v.errs = append(v.errs, field.Invalid(at.Child("shareProcessNamespace"), true, "ShareProcessNamespace and HostPID cannot both be enabled"))
	}
	if s.SecurityContext != nil {
		v.ids(at.Child("securityContext"), s.SecurityContext.RunAsUser, s.SecurityContext.RunAsGroup, s.SecurityContext.FSGroup)
		v.seccomp(at.Child("securityContext", "seccompProfile"), s.SecurityContext.SeccompProfile)
	}
	for i := range s.Volumes {
		v.volume(at.Child("volumes").Index(i), &s.Volumes[i])
	}
	if len(s.Containers) == 0 {
		v.errs = append(v.errs, field.Required(at.Child("containers"), ""))
	}
	for i := range s.InitContainers {
		v.container(at.Child("initContainers").Index(i), &s.InitContainers[i], true)
	}
	for i := range s.Containers {
		v.container(at.Child("containers").Index(i), &s.Containers[i], false)
	}
	for i := range s.EphemeralContainers {
		c := corev1.Container(s.EphemeralContainers[i].EphemeralContainerCommon)
		v.container(at.Child("ephemeralContainers").Index(i), &c, false)
	}
}

func (v *validator) container(at *field.Path, c *corev1.Container, init bool) {
	v.text(at.Child("name"), c.Name, validation.IsDNS1123Label)
	v.unique(v.names, at.Child("name"), c.Name)
	if c.Image == "" || c.Image != strings.TrimSpace(c.Image) {
		v.errs = append(v.errs, field.Required(at.Child("image"), "a name without spaces around it"))
	}
	v.oneOf(at.Child("imagePullPolicy"), string(c.ImagePullPolicy), "Always", "IfNotPresent", "Never")
	v.oneOf(at.Child("terminationMessagePolicy"), string(c.TerminationMessagePolicy), "File", "FallbackToLogsOnError")
	v.check(path.IsAbs(c.TerminationMessagePath), at.Child("terminationMessagePath"), c.TerminationMessagePath, "must be an absolute path")
	if c.RestartPolicy != nil {
		v.oneOf(at.Child("restartPolicy"), string(*c.RestartPolicy), "Always", "OnFailure", "Never")
	} else if len(c.RestartPolicyRules) > 0 {
		v.errs = append(v.errs, field.Required(at.Child("restartPolicy"), "must specify `restartPolicy` with `restartPolicyRules`"))
	}
	for i, r := range c.RestartPolicyRules {
		v.check(r.ExitCodes != nil && len(r.ExitCodes.Values) > 0, at.Child("restartPolicyRules").Index(i), r.Action, "must have exitCodes with values")
	}
	for i, p := range c.Ports {
		v.port(at.Child("ports").Index(i), p)
	}
	for i, e := range c.Env {
		v.check(len(validation.IsRelaxedEnvVarName(e.Name)) == 0, at.Child("env").Index(i).Child("name"), e.Name, "must be printable characters without '='")
		v.check(e.Value == "" || e.ValueFrom == nil, at.Child("env").Index(i).Child("valueFrom"), "", "may not be specified when `value` is not empty")
	}
	for i, e := range c.EnvFrom {
		v.check((e.ConfigMapRef != nil) != (e.SecretRef != nil), at.Child("envFrom").Index(i), "", "must specify one of: `configMapRef` or `secretRef`")
	}
	v.mounts(at.Child("volumeMounts"), c)
	v.resources(at.Child("resources"), c.Resources)
	v.probes(at, c, init)
	if l := c.Lifecycle; l != nil {
		v.hook(at.Child("lifecycle", "postStart"), l.PostStart)
		v.hook(at.Child("lifecycle", "preStop"), l.PreStop)
	}
	if sc := c.SecurityContext; sc != nil {
		v.ids(at.Child("securityContext"), sc.RunAsUser, sc.RunAsGroup)
		v.seccomp(at.Child("securityContext", "seccompProfile"), sc.SeccompProfile)
		more := sc.Privileged != nil && *sc.Privileged || sc.Capabilities != nil && slices.Contains(sc.Capabilities.Add, "SYS_ADMIN")
		v.check(!more || sc.AllowPrivilegeEscalation == nil || *sc.AllowPrivilegeEscalation, at.Child("securityContext"), "",
			"cannot set `allowPrivilegeEscalation` to false and `privileged` to true or `capabilities.Add` CAP_SYS_ADMIN")
	}
}

func (v *validator) port(at *field.Path, p corev1.ContainerPort) {
	v.check(len(validation.IsValidPortNum(int(p.ContainerPort))) == 0, at.Child("containerPort"), p.ContainerPort, "must be between 1 and 65535, inclusive")
	v.oneOf(at.Child("protocol"), string(p.Protocol), "TCP", "UDP", "SCTP")
	if p.Name != "" {
		v.text(at.Child("name"), p.Name, validation.IsValidPortName)
	}
	if p.HostPort == 0 {
		return
	}
	v.check(len(validation.IsValidPortNum(int(p.HostPort))) == 0, at.Child("hostPort"), p.HostPort, "must be between 1 and 65535, inclusive")
	v.check(!v.pod.Spec.HostNetwork || p.HostPort == p.ContainerPort, at.Child("hostPort"), p.HostPort, "must match `containerPort` when `hostNetwork` is true")
	v.unique(v.ports, at.Child("hostPort"), fmt.Sprintf("%s/%s/%d", p.HostIP, p.Protocol, p.HostPort))
}

func (v *validator) mounts(at *field.Path, c *corev1.Container) {
	paths := map[string]bool{}
	for i, m := range c.VolumeMounts {
		at := at.Index(i)
		if !v.volumes[m.Name] {
			v.errs = append(v.errs, field.NotFound(at.Child("name"), m.Name))
		}
		if m.MountPath == "" {
			v.errs = append(v.errs, field.Required(at.Child("mountPath"), ""))
		}
		v.unique(paths, at.Child("mountPath"), m.MountPath)
		v.below(at.Child("subPath"), m.SubPath)
		v.below(at.Child("subPathExpr"), m.SubPathExpr)
		v.check(m.SubPath == "" || m.SubPathExpr == "", at.Child("subPathExpr"), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive")
	}
}

func (v *validator) volume(at *field.Path, vol *corev1.Volume) {
	v.text(at.Child("name"), vol.Name, validation.IsDNS1123Label)
	v.unique(v.volumes, at.Child("name"), vol.Name)
	v.check(setFields(vol.VolumeSource) == 1, at, vol.Name, "must specify exactly one volume type")
	var items []corev1.KeyToPath
	switch {
	case vol.ConfigMap != nil:
		items = vol.ConfigMap.Items
	case vol.Secret != nil:
		items = vol.Secret.Items
	case vol.HostPath != nil:
		v.check(path.IsAbs(vol.HostPath.Path) && !slices.Contains(strings.Split(vol.HostPath.Path, "/"), ".."), at.Child("hostPath", "path"), vol.HostPath.Path, "must be absolute and not contain '..'")
	}
	for i, item := range items {
		v.below(at.Child("items").Index(i).Child("path"), item.Path)
	}
}

func (v *validator) probes(at *field.Path, c *corev1.Container, init bool) {
	for name, p := range map[string]*corev1.Probe{"startupProbe": c.StartupProbe, "livenessProbe": c.LivenessProbe, "readinessProbe": c.ReadinessProbe} {
		if p == nil {
			continue
		}
		at := at.Child(name)
		if init && !IsSidecar(c) {
			v.forbid(at, "may not be set for init containers without restartPolicy=Always")
		}
		v.check(setFields(p.ProbeHandler) == 1, at, "", "must specify exactly one handler type")
		v.handler(at, p.Exec, p.HTTPGet, p.TCPSocket)
		v.check(p.GRPC == nil || len(validation.IsValidPortNum(int(p.GRPC.Port))) == 0, at.Child("grpc", "port"), "", "must be between 1 and 65535, inclusive")
		v.check(min(p.InitialDelaySeconds, p.TimeoutSeconds, p.PeriodSeconds, p.SuccessThreshold, p.FailureThreshold) >= 0, at, "", "must be greater than or equal to 0")
		v.check(name == "readinessProbe" || p.SuccessThreshold == 1, at.Child("successThreshold"), p.SuccessThreshold, "must be 1")
		if g := p.TerminationGracePeriodSeconds; g != nil {
			v.check(name != "readinessProbe", at.Child("terminationGracePeriodSeconds"), *g, "must not be set for readinessProbes")
			v.check(*g > 0, at.Child("terminationGracePeriodSeconds"), *g, "must be greater than 0")
		}
	}
	if init && !IsSidecar(c) && c.Lifecycle != nil {
		v.forbid(at.Child("lifecycle"), "may not be set for init containers without restartPolicy=Always")
	}
}

func (v *validator) hook(at *field.Path, h *corev1.LifecycleHandler) {
	if h != nil {
		v.check(setFields(*h) == 1, at, "", "must specify exactly one handler type")
		v.handler(at, h.Exec, h.HTTPGet, h.TCPSocket)
	}
}

func (v *validator) handler(at *field.Path, e *corev1.ExecAction, h *corev1.HTTPGetAction, t *corev1.TCPSocketAction) {
	if e != nil && len(e.Command) == 0 {
		v.errs = append(v.errs, field.Required(at.Child("exec", "command"), ""))
	}
	port := func(at *field.Path, p intstr.IntOrString) {
		if p.Type == intstr.String {
			v.text(at, p.StrVal, validation.IsValidPortName)
		} else {
			v.check(len(validation.IsValidPortNum(p.IntValue())) == 0, at, p.IntValue(), "must be between 1 and 65535, inclusive")
		}
	}
	if h != nil {
		port(at.Child("httpGet", "port"), h.Port)
		v.oneOf(at.Child("httpGet", "scheme"), string(h.Scheme), "HTTP", "HTTPS")
	}
	if t != nil {
		port(at.Child("tcpSocket", "port"), t.Port)
	}
}

func (v *validator) resources(at *field.Path, r corev1.ResourceRequirements) {
	for name, q := range r.Requests {
		v.quantity(at.Child("requests").Key(string(name)), q)
		if limit, ok := r.Limits[name]; ok && q.Cmp(limit) > 0 {
			v.errs = append(v.errs, field.Invalid(at.Child("requests"), q.String(), "must be less than or equal to "+string(name)+" limit of "+limit.String()))
		}
	}
	for name, q := range r.Limits {
		v.quantity(at.Child("limits").Key(string(name)), q)
	}
}

func (v *validator) quantity(at *field.Path, q resource.Quantity) {
	v.check(q.Sign() >= 0, at, q.String(), "must be greater than or equal to 0")
}
