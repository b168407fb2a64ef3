package ours

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"coracle/03-images"
	"coracle/03-images/remote"
	"coracle/04-runtime/driver"
)

// Pull brings an image.
func (d *Driver) Pull(ctx context.Context, name string, auth *driver.Auth) (driver.Image, error) {
	ref, err := remote.Parse(name)
	if err != nil {
		return driver.Image{}, err
	}
	o := d.Remote
	if auth != nil {
		if auth.IdentityToken != "" || auth.RegistryToken != "" {
			return driver.Image{}, fmt.Errorf("pull %s with a token: %w: give a user and a password", name, driver.ErrUnsupported)
		}
		o.Credentials = func(string) (remote.Credential, error) {
			return remote.Credential{User: auth.Username, Password: auth.Password}, nil
		}
	}
	client, err := remote.New(o)
	if err != nil {
		return driver.Image{}, err
	}
	defer client.Close()
	if _, err := client.Pull(ctx, d.Store, ref, remote.PullOptions{}); err != nil {
		return driver.Image{}, pullError(err)
	}
	return d.Image(ctx, ref.String())
}

// pullError adds the error that the agent tells apart.
func pullError(err error) error {
	var call *url.Error
	var dial *net.OpError
	var status *remote.Error
	switch {
	case errors.Is(err, remote.ErrDenied):
		return fmt.Errorf("%w: %w", driver.ErrUnauthorized, err)
	case errors.Is(err, images.ErrNotFound):
		return fmt.Errorf("%w: %w", driver.ErrNotFound, err)
	case errors.As(err, &call), errors.As(err, &dial), errors.As(err, &status) && status.Status >= 500:
		return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
	}
	return err
}

// image finds an image by a name or an ID.
func (d *Driver) image(name string) (*images.Image, error) {
	if ref, err := remote.Parse(name); err == nil && !strings.HasPrefix(name, "sha256:") {
		name = ref.String()
	}
	img, err := d.Store.Image(name, images.HostPlatform())
	if errors.Is(err, images.ErrNotFound) {
		return nil, fmt.Errorf("image %s: %w", name, driver.ErrNotFound)
	}
	return img, err
}

// Image finds an image.
func (d *Driver) Image(_ context.Context, name string) (driver.Image, error) {
	img, err := d.image(name)
	if err != nil {
		return driver.Image{}, err
	}
	all, err := d.byID()
	if err != nil {
		return driver.Image{}, err
	}
	if found, ok := all[img.ID.String()]; ok {
		return found, nil
	}
	return describe(img), nil
}

func describe(img *images.Image) driver.Image {
	i := driver.Image{ID: img.ID.String(), User: img.Config.Config.User}
	for _, l := range img.Layers {
		i.Size += l.Size
	}
	return i
}

// byID puts together what the store has by name.
func (d *Driver) byID() (map[string]driver.Image, error) {
	tags, err := d.Store.Tags()
	if err != nil {
		return nil, err
	}
	all := map[string]driver.Image{}
	for _, t := range tags {
		name := t.Annotations[v1.AnnotationRefName]
		img, err := d.Store.Image(name, images.HostPlatform())
		if errors.Is(err, images.ErrNotFound) {
			continue // half of it is missing: it could not be run
		} else if err != nil {
			return nil, err
		}
		i, ok := all[img.ID.String()]
		if !ok {
			i = describe(img)
		}
		ref, err := remote.Parse(name)
		if err == nil && ref.Digest == "" {
			i.Tags = append(i.Tags, name)
		}
		if digest := ref.Name() + "@" + t.Digest.String(); err == nil && !slices.Contains(i.Digests, digest) {
			i.Digests = append(i.Digests, digest)
		}
		all[i.ID] = i
	}
	return all, nil
}

// Images lists all, by ID.
func (d *Driver) Images(context.Context) ([]driver.Image, error) {
	all, err := d.byID()
	var list []driver.Image
	for _, i := range all {
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b driver.Image) int { return strings.Compare(a.ID, b.ID) })
	return list, err
}

// RemoveImage takes an image away.
func (d *Driver) RemoveImage(ctx context.Context, id string) error {
	img, err := d.image(id)
	if errors.Is(err, driver.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	users, err := d.Containers(ctx)
	if err != nil {
		return err
	}
	for _, c := range users {
		if c.ImageID == img.ID.String() {
			return fmt.Errorf("image %s: container %s uses it", id, c.ID)
		}
	}
	tags, err := d.Store.Tags()
	if err != nil {
		return err
	}
	for _, t := range tags {
		name := t.Annotations[v1.AnnotationRefName]
		if other, err := d.Store.Image(name, images.HostPlatform()); err == nil && other.ID == img.ID {
			if err := d.Store.Untag(ctx, name); err != nil && !errors.Is(err, images.ErrNotFound) {
				return err
			}
		}
	}
	_, err = d.Store.Collect(ctx, images.CollectOptions{})
	return err
}

// ImagesUsed is what the store occupies but for what containers wrote.
func (d *Driver) ImagesUsed(context.Context) (bytes int64, err error) {
	for _, dir := range []string{"blobs", "layers", "ingest"} {
		n, _, err := occupied(d.Store.Path(dir))
		if err != nil {
			return 0, err
		}
		bytes += n
	}
	return bytes, nil
}

// occupied counts the blocks and files below a folder; a file with two names counts once.
func occupied(dir string) (bytes, inodes int64, err error) {
	seen := map[uint64]bool{}
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		var fi fs.FileInfo
		if err == nil {
			fi, err = e.Info()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went meanwhile
		} else if err != nil {
			return err
		}
		if st := fi.Sys().(*syscall.Stat_t); !seen[st.Ino] {
			seen[st.Ino] = true
			bytes += st.Blocks * 512
			inodes++
		}
		return nil
	})
	return bytes, inodes, err
}
