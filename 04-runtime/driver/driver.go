package driver

import (
	"context"
	"errors"
	"io"
	"time"
)

// Errors that the agent tells apart, by errors.Is. Any other error is only shown.
var (
	ErrNotFound     = errors.New("not found")           // no such image, sandbox or container, here or at the registry
	ErrUnauthorized = errors.New("not allowed to pull") // the registry refused; see Auth
	ErrUnavailable  = errors.New("registry does not answer")
	ErrNotRunning   = errors.New("not running")   // Exec, Attach or PortForward where no process is
	ErrUnsupported  = errors.New("not supported") // this driver, or this machine, cannot do it
)

// A Driver runs what the agent decides on. Its methods may be called by any number of
// goroutines, but not two at once for the same sandbox or container, save Exec, Attach,
// PortForward, Stats and those that only list.
type Driver interface {
	Name() string // "coracle" or "docker": the scheme of a status's containerID

	// Pull brings the image that ref, a full name with tag or digest, means now, and
	// returns when it could be run. auth may be nil. What is there is not fetched again,
	// but a tag is always looked up: whether to call Pull at all is the agent's policy.
	// Errors: ErrNotFound, ErrUnauthorized, ErrUnavailable, or what went wrong.
	Pull(ctx context.Context, ref string, auth *Auth) (Image, error)
	// Image finds an image by full name or by ID. Errors: ErrNotFound.
	Image(ctx context.Context, ref string) (Image, error)
	Images(ctx context.Context) ([]Image, error)
	// RemoveImage takes an image away by its ID, with all its names. One that a
	// container uses stays, and is an error.
	RemoveImage(ctx context.Context, id string) error
	// ImagesUsed is what all images occupy on their file system, shared layers once.
	ImagesUsed(ctx context.Context) (bytes int64, err error)

	// RunSandbox makes a pod's namespaces, its group and its network, and returns when
	// containers can be created in it. What a failure leaves is listed, not ready.
	RunSandbox(ctx context.Context, c SandboxConfig) (SandboxStatus, error)
	// StopSandbox kills what still runs in it and gives the addresses back.
	StopSandbox(ctx context.Context, id string) error
	// RemoveSandbox removes it with its containers; it is stopped first if need be.
	RemoveSandbox(ctx context.Context, id string) error
	Sandboxes(ctx context.Context) ([]SandboxStatus, error)

	// Create prepares a container up to the barrier: everything that can fail without
	// running the program has failed here. The id is the driver's.
	Create(ctx context.Context, sandbox string, c ContainerConfig) (id string, err error)
	// Start runs it; a program that cannot be executed is an error here.
	Start(ctx context.Context, id string) error
	// Stop sends the signal ("SIGTERM", or "" for the container's own), gives it grace,
	// kills all that is left in the container, and returns when it exited. With no grace
	// it kills at once. A second Stop with less grace shortens the first.
	Stop(ctx context.Context, id, signal string, grace time.Duration) error
	// Remove removes a stopped container and what it wrote, not its log.
	Remove(ctx context.Context, id string) error
	Containers(ctx context.Context) ([]ContainerStatus, error)
	// Container is the status of one. Errors: ErrNotFound.
	Container(ctx context.Context, id string) (ContainerStatus, error)
	// Update changes the limits of a container or, given a sandbox, of its pod's group.
	Update(ctx context.Context, id string, r Resources) error
	// ReopenLog is called after the log file was renamed: the next line goes to a new one.
	ReopenLog(ctx context.Context, id string) error

	// Exec runs a further process in a container and returns its exit code. An error
	// means that there is none. It ends with ctx, and the process with it.
	Exec(ctx context.Context, id string, e ExecConfig) (exit int, err error)
	// Attach joins the streams of the container's own process until it exits, the
	// streams close or ctx ends.
	Attach(ctx context.Context, id string, s Streams) error
	// PortForward copies between stream and the port on the sandbox's loopback.
	PortForward(ctx context.Context, sandbox string, port int, stream io.ReadWriteCloser) error

	// Stats is what a container has used, or a sandbox, with its network.
	Stats(ctx context.Context, id string) (Stats, error)
	// Events tells what happens from now on, until ctx ends and the channel is closed.
	// Events are hints: one may be missing, after which the agent lists again.
	Events(ctx context.Context) (<-chan Event, error)

	// Close ends the driver's own goroutines. Containers run on.
	Close() error
}

// Auth is what to show to a registry: a name and password, or a token.
type Auth struct {
	Username, Password string
	IdentityToken      string // exchanged for an access token (docker login)
	RegistryToken      string // sent as it is
}

// An Image is one that could be run here.
type Image struct {
	ID      string   // digest of its config
	Tags    []string // full names with a tag
	Digests []string // full names with the manifest's digest, for a status's imageID
	Size    int64    // bytes, all layers
	User    string   // of its config: "", "1000", "www-data", "1000:1000"
	Pinned  bool     // never collected
}

// ExecConfig is a further process of a container, with the container's environment,
// user and limits.
type ExecConfig struct {
	Command []string
	Streams
}

// Streams are what a process is connected to. A nil Stdin is closed, a nil output
// is thrown away; with TTY, everything comes on Stdout.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	TTY            bool
	Resize         <-chan Size
}

// Size is a terminal's, in characters.
type Size struct{ Width, Height uint16 }

// Stats is what has been used up to At. What a driver cannot tell is zero.
type Stats struct {
	At  time.Time
	CPU time.Duration // on a processor, since it was made

	Memory     int64 // bytes charged, page cache included
	WorkingSet int64 // without the cache that could be dropped at once
	RSS        int64
	Pids       int64

	RootFS, RootFSInodes int64 // written above the image
	Network              Traffic
}

// Traffic is what went over a sandbox's interface; with the host's network, zero.
type Traffic struct{ RxBytes, RxErrors, TxBytes, TxErrors uint64 }

// EventKind is what happened to a container.
type EventKind string

const (
	EventStarted EventKind = "started"
	EventExited  EventKind = "exited"
	EventOOM     EventKind = "oom" // a process of it was killed for memory; it may run on
)

// An Event names a container to look at again.
type Event struct {
	Kind               EventKind
	Container, Sandbox string
	At                 time.Time
}
