package pod

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// MaxManifest is how large a manifest may be: what etcd takes of one object.
const MaxManifest = 1 << 20

// Manifests are what a file of the agent's directory holds.
type Manifests struct {
	Pods       []*corev1.Pod
	ConfigMaps []*corev1.ConfigMap
	Secrets    []*corev1.Secret
}

// Decode reads a manifest, YAML or JSON, of one or more documents. It is strict: a
// field that the API does not have or that is there twice is an error that names it,
// since a typo in "livenessProbe" must not be a pod without one. Pods come back with
// their Defaults and valid; a document that is wrong spoils the others too.
func Decode(data []byte) (Manifests, error) {
	var m Manifests
	if len(data) > MaxManifest {
		return m, fmt.Errorf("a manifest of %d bytes: the most is %d", len(data), MaxManifest)
	}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for n := 1; ; n++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return m, nil
		}
		if err == nil {
			err = m.decode(document)
		}
		if err != nil {
			return Manifests{}, fmt.Errorf("document %d: %w", n, err)
		}
	}
}

func (m *Manifests) decode(document []byte) error {
	text, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return err
	}
	if string(bytes.TrimSpace(text)) == "null" {
		return nil // only comments
	}
	var what metav1.TypeMeta
	if err := json.UnmarshalCaseSensitivePreserveInts(text, &what); err != nil {
		return err
	}
	switch what.APIVersion + " " + what.Kind {
	case "v1 Pod":
		pod := new(corev1.Pod)
		if err := strict(text, pod); err != nil {
			return err
		}
		Defaults(pod)
		if err := Validate(pod); err != nil {
			return fmt.Errorf("pod %q: %w", pod.Name, err)
		}
		m.Pods = append(m.Pods, pod)
	case "v1 ConfigMap":
		c := new(corev1.ConfigMap)
		if err := strict(text, c); err != nil {
			return err
		}
		or(&c.Namespace, "default")
		m.ConfigMaps = append(m.ConfigMaps, c)
	case "v1 Secret":
		s := new(corev1.Secret)
		if err := strict(text, s); err != nil {
			return err
		}
		or(&s.Namespace, "default")
		or(&s.Type, corev1.SecretTypeOpaque)
		for key, value := range s.StringData {
			if s.Data == nil {
				s.Data = map[string][]byte{}
			}
			s.Data[key] = []byte(value)
		}
		s.StringData = nil
		m.Secrets = append(m.Secrets, s)
	default:
		return fmt.Errorf("kind %q of apiVersion %q: want Pod, ConfigMap or Secret of v1", what.Kind, what.APIVersion)
	}
	return nil
}

// strict decodes into a type of the API, by its exact field names.
func strict(text []byte, into any) error {
	wrong, err := json.UnmarshalStrict(text, into)
	return errors.Join(append(wrong, err)...)
}
