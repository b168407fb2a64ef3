package pod

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/distribution/reference"
)

// Defaults fills in what the API would (pkg/apis/core/v1/defaults.go), so that all that
// reads a pod finds every field that has a default set. What is set stays.
func Defaults(pod *corev1.Pod) {
	spec := &pod.Spec
	or(&pod.Namespace, "default")
	or(&spec.RestartPolicy, corev1.RestartPolicyAlways)
	or(&spec.DNSPolicy, corev1.DNSClusterFirst)
	or(&spec.SchedulerName, corev1.DefaultSchedulerName)
	orNew(&spec.TerminationGracePeriodSeconds, 30)
	orNew(&spec.EnableServiceLinks, true)
	orNew(&spec.SecurityContext, corev1.PodSecurityContext{})
	if spec.ServiceAccountName == "" {
		spec.ServiceAccountName = spec.DeprecatedServiceAccount
	}
	spec.DeprecatedServiceAccount = spec.ServiceAccountName

	for i := range spec.InitContainers {
		container(pod, &spec.InitContainers[i])
	}
	for i := range spec.Containers {
		container(pod, &spec.Containers[i])
	}
	for i := range spec.EphemeralContainers {
		c := corev1.Container(spec.EphemeralContainers[i].EphemeralContainerCommon)
		container(pod, &c)
		spec.EphemeralContainers[i].EphemeralContainerCommon = corev1.EphemeralContainerCommon(c)
	}
	for i := range spec.Volumes {
		volume(&spec.Volumes[i].VolumeSource)
	}
	if r := spec.Resources; r != nil {
		requests(r)
		sum := pod.DeepCopy()
		sum.Spec.Resources, sum.Spec.Overhead = nil, nil
		for name, q := range Requests(sum) { // what the pod does not request, its containers do
			if _, ok := r.Requests[name]; !ok && podLevel(pod) && listed("cpu memory", string(name)) {
				request(r, name, q)
			}
		}
	}
}

func container(pod *corev1.Pod, c *corev1.Container) {
	or(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	or(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	or(&c.ImagePullPolicy, pullPolicy(c.Image))
	for i := range c.Ports {
		or(&c.Ports[i].Protocol, corev1.ProtocolTCP)
		if pod.Spec.HostNetwork {
			or(&c.Ports[i].HostPort, c.Ports[i].ContainerPort)
		}
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil && from.FieldRef != nil {
			or(&from.FieldRef.APIVersion, "v1")
		}
	}
	requests(&c.Resources)
	if c.SecurityContext != nil {
		orNew(&c.SecurityContext.ProcMount, corev1.DefaultProcMount)
	}
	for _, p := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if p == nil {
			continue
		}
		or(&p.TimeoutSeconds, 1)
		or(&p.PeriodSeconds, 10)
		or(&p.SuccessThreshold, 1)
		or(&p.FailureThreshold, 3)
		httpGet(p.HTTPGet)
		if p.GRPC != nil {
			orNew(&p.GRPC.Service, "")
		}
	}
	if c.Lifecycle != nil {
		for _, h := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if h != nil {
				httpGet(h.HTTPGet)
			}
		}
	}
}

// pullPolicy is Always for a tag that moves, :latest or none, and else IfNotPresent.
func pullPolicy(image string) corev1.PullPolicy {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return corev1.PullIfNotPresent
	}
	if tagged, ok := reference.TagNameOnly(named).(reference.Tagged); ok && tagged.Tag() == "latest" {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

func httpGet(a *corev1.HTTPGetAction) {
	if a == nil {
		return
	}
	or(&a.Path, "/")
	or(&a.Scheme, corev1.URISchemeHTTP)
	a.Scheme = corev1.URIScheme(strings.ToUpper(string(a.Scheme)))
	if a.Port.Type == intstr.String && a.Port.StrVal == "" {
		a.Port = intstr.FromInt32(0) // validation has the word
	}
}

func volume(v *corev1.VolumeSource) {
	const mode = 0o644
	switch {
	case v.Secret != nil:
		orNew(&v.Secret.DefaultMode, mode)
	case v.ConfigMap != nil:
		orNew(&v.ConfigMap.DefaultMode, mode)
	case v.DownwardAPI != nil:
		orNew(&v.DownwardAPI.DefaultMode, mode)
		fields(v.DownwardAPI.Items)
	case v.Projected != nil:
		orNew(&v.Projected.DefaultMode, mode)
		for _, s := range v.Projected.Sources {
			if s.DownwardAPI != nil {
				fields(s.DownwardAPI.Items)
			}
			if s.ServiceAccountToken != nil {
				orNew(&s.ServiceAccountToken.ExpirationSeconds, 3600)
			}
		}
	case v.HostPath != nil:
		orNew(&v.HostPath.Type, corev1.HostPathUnset)
	case v.Image != nil:
		or(&v.Image.PullPolicy, pullPolicy(v.Image.Reference))
	case *v == corev1.VolumeSource{}:
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
}

func fields(files []corev1.DownwardAPIVolumeFile) {
	for i := range files {
		if f := files[i].FieldRef; f != nil {
			or(&f.APIVersion, "v1")
		}
	}
}

// requests sets a request that is left out to its limit.
func requests(r *corev1.ResourceRequirements) {
	for name, q := range r.Limits {
		if _, ok := r.Requests[name]; !ok {
			request(r, name, q)
		}
	}
}

func request(r *corev1.ResourceRequirements, name corev1.ResourceName, q resource.Quantity) {
	if r.Requests == nil {
		r.Requests = corev1.ResourceList{}
	}
	r.Requests[name] = q.DeepCopy()
}

// or sets what is zero.
func or[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// orNew sets what is nil.
func orNew[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}
