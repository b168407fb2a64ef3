package ours

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"coracle/03-images"
	"coracle/04-runtime/driver"
	"coracle/04-runtime/oci"
	"coracle/04-runtime/shim"
)

// A container is what container.json keeps.
type container struct {
	Sandbox    string
	Config     driver.ContainerConfig
	CreatedAt  time.Time
	Image      string // its ID
	StopSignal string
	LogPath    string
}

func (d *Driver) client(id string) shim.Client { return shim.Client{Dir: d.path("containers", id)} }

// Create makes a container up to the barrier.
func (d *Driver) Create(ctx context.Context, sandboxID string, c driver.ContainerConfig) (id string, err error) {
	var s sandbox
	if err := d.read("sandboxes", sandboxID, &s); err != nil {
		return "", err
	}
	if !s.Ready {
		return "", fmt.Errorf("sandbox %s: %w", sandboxID, driver.ErrNotRunning)
	}
	img, err := d.image(c.Image)
	if err != nil {
		return "", err
	}
	id = newID()
	r := &container{Sandbox: sandboxID, Config: c, CreatedAt: time.Now().UTC(), Image: img.ID.String(), StopSignal: c.StopSignal}
	if r.StopSignal == "" {
		r.StopSignal = img.Config.Config.StopSignal
	}
	if c.LogPath != "" {
		r.LogPath = filepath.Join(s.Config.LogDir, c.LogPath)
	}
	if err := d.begin("containers", id, r); err != nil {
		return "", err
	}
	if err := d.create(ctx, id, r, &s, img); err != nil {
		// Nothing that is half made stays, unless it cannot be removed: then it is listed.
		return "", errors.Join(fmt.Errorf("create container %s: %w", c.Name, err), d.remove(id))
	}
	d.watch(id)
	return id, nil
}

func (d *Driver) create(ctx context.Context, id string, r *container, s *sandbox, img *images.Image) error {
	if err := d.mountRootfs(ctx, id, r.Sandbox, s, img); err != nil {
		return err
	}
	mounts, err := d.mounts(id, s, r.Config)
	if err != nil {
		return err
	}
	spec, err := d.spec(id, r.Sandbox, s, r.Config, img.Config.Config, mounts)
	if err != nil {
		return err
	}
	b, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.path("containers", id, "config.json"), b, 0o600); err != nil {
		return err
	}
	if r.LogPath != "" {
		if err := os.MkdirAll(filepath.Dir(r.LogPath), 0o755); err != nil {
			return err
		}
	}
	c := r.Config
	return shim.Start(ctx, d.Runtime, d.path("containers", id), shim.Config{
		ID: id, Root: d.rt.Root, Log: r.LogPath, MaxBytes: d.LogBytes, Keep: d.LogFiles,
		Terminal: c.TTY, Stdin: c.Stdin, StdinOnce: c.StdinOnce,
	})
}

// Start runs it.
func (d *Driver) Start(ctx context.Context, id string) error {
	var r container
	if err := d.read("containers", id, &r); err != nil {
		return err
	}
	told := make(chan struct{})
	d.mu.Lock()
	d.starts[id] = told
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.starts, id)
		d.mu.Unlock()
		close(told)
	}()
	if err := d.client(id).Run(ctx); err != nil {
		return explain(id, err)
	}
	d.tell(driver.Event{Kind: driver.EventStarted, Container: id, Sandbox: r.Sandbox, At: time.Now()})
	return nil
}

// explain words an error of a shim's client.
func explain(id string, err error) error {
	if errors.Is(err, shim.ErrNotRunning) || errors.Is(err, shim.ErrLost) {
		return fmt.Errorf("container %s: %w: %w", id, driver.ErrNotRunning, err)
	}
	return fmt.Errorf("container %s: %w", id, err)
}

// Stop stops it.
func (d *Driver) Stop(ctx context.Context, id, signal string, grace time.Duration) error {
	var r container
	if err := d.read("containers", id, &r); errors.Is(err, driver.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	s, life, err := d.find(id)
	if err != nil || life != shim.Alive {
		return nil // it never began, or has ended
	}
	c := d.client(id)
	if grace > 0 && !s.StartedAt.IsZero() {
		if signal == "" {
			signal = r.StopSignal
		}
		sig, err := signalOf(signal)
		if err != nil {
			return fmt.Errorf("stop container %s: %w", id, err)
		}
		if err := ended(c.Kill(ctx, sig, false)); err != nil {
			return explain(id, err)
		}
		patient, cancel := context.WithTimeout(ctx, grace)
		_, err = c.Wait(patient)
		cancel()
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := ended(c.Kill(ctx, unix.SIGKILL, false)); err != nil {
		return explain(id, err)
	}
	if err := ended(second(c.Wait(ctx))); err != nil {
		return explain(id, err)
	}
	return nil
}

// ended takes for no error what says that there is nothing left to stop.
func ended(err error) error {
	if errors.Is(err, shim.ErrNotRunning) || errors.Is(err, shim.ErrLost) {
		return nil
	}
	return err
}

func second[T any](_ T, err error) error { return err }

// Remove removes a stopped container.
func (d *Driver) Remove(ctx context.Context, id string) error {
	var r container
	if err := d.read("containers", id, &r); errors.Is(err, driver.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	if s, life, err := d.find(id); err == nil && life == shim.Alive {
		if !s.StartedAt.IsZero() {
			return fmt.Errorf("remove container %s: it runs: stop it first", id)
		}
		if err := d.Stop(ctx, id, "", 0); err != nil {
			return err
		}
	}
	return d.remove(id)
}

// remove takes down what Create made, in reverse; it can be repeated.
func (d *Driver) remove(id string) error {
	dir := d.path("containers", id)
	if s, _, err := shim.Find(dir); err == nil {
		if err := s.Shim.Kill(); err != nil { // it waits for who asks it still, at most
			return err
		}
	}
	if err := d.rt.Delete(id, true); err != nil && !errors.Is(err, oci.ErrNotExist) {
		return err
	}
	if err := errors.Join(unmountBelow(filepath.Join(dir, "mounts")), unmountBelow(filepath.Join(dir, "layers")), unmount(filepath.Join(dir, "rootfs"))); err != nil {
		return err
	}
	if sn, err := d.Store.Snapshot(id); err == nil {
		if err := sn.Remove(); err != nil {
			return err
		}
	} else if !errors.Is(err, images.ErrNotFound) {
		return err
	}
	return os.RemoveAll(dir)
}

// find is shim.Find, and writes down that a container was lost.
func (d *Driver) find(id string) (shim.State, shim.Life, error) {
	s, life, err := shim.Find(d.path("containers", id))
	if err != nil || life != shim.Lost {
		return s, life, err
	}
	return d.lost(id)
}

// lost ends what a killed shim left of its container. Nobody will ever learn how that
// ended: it is written down as killed.
func (d *Driver) lost(id string) (shim.State, shim.Life, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir := d.path("containers", id)
	s, life, err := shim.Find(dir)
	if err != nil || life != shim.Lost {
		return s, life, err
	}
	if err := d.rt.Delete(id, true); err != nil && !errors.Is(err, oci.ErrNotExist) {
		return s, life, err
	}
	s.Exited, s.ExitCode, s.Signal, s.FinishedAt = true, 128+int(unix.SIGKILL), unix.SIGKILL, time.Now().UTC()
	if s.Error == "" {
		s.Error = "its shim was killed, and the container with it"
	}
	return s, shim.Ended, shim.Save(dir, s)
}

// watch tells of a container's end.
func (d *Driver) watch(id string) {
	_, life, err := shim.Find(d.path("containers", id))
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil || life == shim.Ended || d.watched[id] || d.ctx.Err() != nil {
		return
	}
	d.watched[id] = true
	d.watches.Go(func() {
		_, err := d.client(id).Wait(d.ctx)
		if d.ctx.Err() != nil {
			return
		}
		s, life, findErr := d.find(id)
		if err != nil && (findErr != nil || life != shim.Ended) {
			return // removed
		}
		d.mu.Lock()
		delete(d.watched, id)
		started := d.starts[id]
		d.mu.Unlock()
		if started != nil {
			<-started
		}
		var r container
		d.read("containers", id, &r)
		if s.OOM {
			d.tell(driver.Event{Kind: driver.EventOOM, Container: id, Sandbox: r.Sandbox, At: s.FinishedAt})
		}
		d.tell(driver.Event{Kind: driver.EventExited, Container: id, Sandbox: r.Sandbox, At: s.FinishedAt})
	})
}

func (d *Driver) containersOf(sandboxID string) (mine []string, err error) {
	ids, err := d.list("containers")
	for _, id := range ids {
		var r container
		if d.read("containers", id, &r) == nil && r.Sandbox == sandboxID {
			mine = append(mine, id)
		}
	}
	return mine, err
}

// Containers lists all.
func (d *Driver) Containers(ctx context.Context) (all []driver.ContainerStatus, err error) {
	ids, err := d.list("containers")
	for _, id := range ids {
		switch c, err := d.Container(ctx, id); {
		case err == nil:
			all = append(all, c)
		case !errors.Is(err, driver.ErrNotFound):
			return nil, err
		}
	}
	return all, err
}

// Container is the status of one.
func (d *Driver) Container(_ context.Context, id string) (driver.ContainerStatus, error) {
	var r container
	if err := d.read("containers", id, &r); err != nil {
		return driver.ContainerStatus{}, err
	}
	c := driver.ContainerStatus{
		ID: id, Sandbox: r.Sandbox, Name: r.Config.Name, Attempt: r.Config.Attempt, Image: r.Config.Image, ImageID: r.Image,
		State: driver.Unknown, CreatedAt: r.CreatedAt, Labels: r.Config.Labels, Annotations: r.Config.Annotations, LogPath: r.LogPath,
	}
	s, life, err := d.find(id)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil // its creator was killed before it had a shim
	} else if err != nil {
		return c, err
	}
	c.StartedAt, c.FinishedAt, c.Message = s.StartedAt, s.FinishedAt, s.Error
	switch {
	case life == shim.Alive && s.StartedAt.IsZero():
		c.State = driver.Created
	case life == shim.Alive:
		c.State, c.PID = driver.Running, s.Container.PID
	case life == shim.Ended:
		c.State, c.ExitCode, c.OOMKilled = driver.Exited, s.ExitCode, s.OOM
		c.Reason = reason(s)
		if c.Reason == "StartError" {
			c.ExitCode = 128
		}
	}
	return c, nil
}

// reason is Kubernetes' word for how a container ended.
func reason(s shim.State) string {
	switch {
	case s.OOM:
		return "OOMKilled"
	case s.StartedAt.IsZero() && s.Error != "":
		return "StartError"
	case s.ExitCode == 0:
		return "Completed"
	}
	return "Error"
}

// ReopenLog is called after the log file was renamed.
func (d *Driver) ReopenLog(ctx context.Context, id string) error {
	if err := d.read("containers", id, &container{}); err != nil {
		return err
	}
	if err := d.client(id).ReopenLog(ctx); err != nil {
		return explain(id, err)
	}
	return nil
}
