package spec

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"coracle/04-runtime/pod"
)

// An ObjectGetter has the objects that pods refer to. What there is not is an error
// for which apierrors.IsNotFound holds. The result is only read.
type ObjectGetter interface {
	ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
}

// NotFound is the error for an object that is not there: of a kind in lower case.
func NotFound(kind, name string) error { return apierrors.NewNotFound(corev1.Resource(kind), name) }

// A Dir is an ObjectGetter on the manifests of a folder: every *.yaml, *.yml and *.json
// in it. A file is read again when its size or time differs.
type Dir struct {
	path  string
	mu    sync.Mutex
	files map[string]dirFile
}

type dirFile struct {
	size    int64
	changed time.Time
	objects pod.Manifests
	err     error
}

// NewDir reads nothing yet: the folder may appear later.
func NewDir(path string) *Dir { return &Dir{path: path, files: map[string]dirFile{}} }

func (d *Dir) ConfigMap(_ context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	return get(d, "configmap", namespace, name, func(m pod.Manifests) []*corev1.ConfigMap { return m.ConfigMaps })
}

func (d *Dir) Secret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	return get(d, "secret", namespace, name, func(m pod.Manifests) []*corev1.Secret { return m.Secrets })
}

// get finds an object. A file that cannot be read may be the one that has it: then
// that is said, rather than that there is none.
func get[T interface {
	GetNamespace() string
	GetName() string
}](d *Dir, kind, namespace, name string, of func(pod.Manifests) []T) (none T, _ error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	broken, err := d.refresh()
	if err != nil {
		return none, fmt.Errorf("%s %q: %w", kind, name, err)
	}
	for _, file := range slices.Sorted(maps.Keys(d.files)) {
		for _, o := range of(d.files[file].objects) {
			if o.GetNamespace() == namespace && o.GetName() == name {
				return o, nil
			}
		}
	}
	if broken != nil {
		return none, fmt.Errorf("%w (or it is in a file that cannot be read: %v)", NotFound(kind, name), broken)
	}
	return none, NotFound(kind, name)
}

// refresh brings files up to date with the folder. broken is what is wrong with its files.
func (d *Dir) refresh() (broken, err error) {
	entries, err := os.ReadDir(d.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	seen := map[string]dirFile{}
	for _, e := range entries {
		if !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(e.Name())) || e.Name()[0] == '.' {
			continue
		}
		path := filepath.Join(d.path, e.Name())
		fi, err := os.Stat(path)
		if err != nil || !fi.Mode().IsRegular() {
			continue
		}
		f, known := d.files[path]
		if !known || f.size != fi.Size() || !f.changed.Equal(fi.ModTime()) {
			f = dirFile{size: fi.Size(), changed: fi.ModTime()}
			if f.size > pod.MaxManifest {
				f.err = fmt.Errorf("%s: %d bytes: the most is %d", path, f.size, pod.MaxManifest)
			} else if data, err := os.ReadFile(path); err != nil {
				f.err = err
			} else if f.objects, err = pod.Decode(data); err != nil {
				f.err = fmt.Errorf("%s: %w", path, err)
			}
		}
		seen[path] = f
		broken = errors.Join(broken, f.err)
	}
	d.files = seen
	return broken, nil
}
