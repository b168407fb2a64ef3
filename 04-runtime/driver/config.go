package driver

import (
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// SandboxConfig is a pod's namespaces, group and network.
type SandboxConfig struct {
	UID, Name, Namespace string // the pod's
	Attempt              int    // the how-manieth sandbox of this pod, from 0
	Hostname             string
	Labels, Annotations  map[string]string
	LogDir               string // where the logs of its containers are; the agent made it

	HostNetwork, HostPID, HostIPC bool
	SharePID                      bool    // one PID namespace for all containers, with a small init
	UserNS                        *IDMaps // nil: the node's

	Sysctls map[string]string // those of namespaces that are not the host's
	DNS     *DNS              // nil: the node's resolv.conf
	Hosts   []byte            // lines for /etc/hosts below those of localhost and of the pod's own name
	Ports   []Port

	// CgroupParent is the pod's group, as a path below the driver's root of groups
	// ("/kubepods/burstable/pod…"). The driver makes it, with Resources, and removes it.
	CgroupParent string
	Resources    Resources
}

// IDMaps are the maps of a user namespace.
type IDMaps struct{ UIDs, GIDs []specs.LinuxIDMapping }

// DNS is what resolv.conf says.
type DNS struct{ Servers, Searches, Options []string }

// A Port of the node that leads to one of the pod.
type Port struct {
	HostIP        string // "": all addresses
	HostPort      int
	ContainerPort int
	Protocol      string // "tcp", "udp" or "sctp"
}

// SandboxStatus is a sandbox as it was last seen.
type SandboxStatus struct {
	ID                   string
	UID, Name, Namespace string
	Attempt              int
	Ready                bool // containers can be created in it
	CreatedAt            time.Time
	IPs                  []string // its own, the first one the pod's; none with the host's network
	NetNS                string   // path of its network namespace, "" if the driver has none to show
	Labels, Annotations  map[string]string
}

// ContainerConfig is a container as it shall run. Command, Args and Env stand above
// the image's: Command replaces its entry point and drops its arguments, Args replaces
// its arguments, Env wins name by name.
type ContainerConfig struct {
	Name                string // within the pod
	Attempt             int    // how often it was made before
	Image               string // an Image's ID
	Command, Args, Env  []string
	Dir                 string // "": the image's
	Labels, Annotations map[string]string
	Mounts              []Mount
	Devices             []Device
	LogPath             string // below the sandbox's LogDir
	Stdin               bool   // stays open, for Attach
	StdinOnce           bool   // closes when the first that attached goes
	TTY                 bool
	StopSignal          string // "": the image's, or SIGTERM
	Resources           Resources
	Security            Security
}

// A Mount of a folder or file of the node, or of an image.
type Mount struct {
	Source            string // on the node; "" with Image
	Image             string // an Image's ID: its root is mounted, read-only
	SubPath           string // within Source or Image; never leads out of it
	Target            string
	Readonly          bool
	RecursiveReadonly bool   // also what is mounted below it
	Propagation       string // "private", "rslave" or "rshared"; "" is private
}

// A Device of the node that a container may use.
type Device struct{ Source, Target, Permissions string } // "rwm"

// Security is what a container's processes are and may do.
type Security struct {
	User         *int64  // nil: the image's
	Group        *int64  // nil: the user's, by the image's passwd
	Groups       []int64 // besides those that the image's group file gives
	StrictGroups bool    // without those

	Add, Drop    []string // capabilities, "NET_ADMIN" or "ALL", from the default set
	Privileged   bool     // all capabilities and devices, no seccomp, nothing masked
	ReadonlyRoot bool
	NoNewPrivs   bool

	Seccomp    *specs.LinuxSeccomp // nil: the driver's default profile
	Unconfined bool                // no seccomp at all
	Unmasked   bool                // procMount: Unmasked
}

// Resources are a group's. 0 means: no limit, or the kernel's default.
type Resources struct {
	CPUShares     int64             // v1's, 2 to 262144; a driver converts for v2
	MilliCPULimit int64             // quota, in thousandths of a CPU
	CPUPeriod     time.Duration     // 0 is 100 ms
	MemoryLimit   int64             // bytes; without a word in Unified, no swap
	PidsLimit     int64             // processes and threads
	OOMScoreAdj   int               // of the container's processes, -1000 to 1000
	Unified       map[string]string // v2 files, as they are written; ignored on v1
}

// State is where a container is in its life.
type State string

const (
	Created State = "created"
	Running State = "running"
	Exited  State = "exited"
	Unknown State = "unknown" // it cannot be asked: its shim is gone
)

// ContainerStatus is a container as it was last seen.
type ContainerStatus struct {
	ID, Sandbox, Name                string
	Attempt                          int
	Image                            string // the name or ID that it was created with
	ImageID                          string
	State                            State
	CreatedAt, StartedAt, FinishedAt time.Time // zero for what has not come to pass
	ExitCode                         int       // 128 + signal where one ended it
	OOMKilled                        bool
	Reason, Message                  string // "Completed", "Error", "OOMKilled", "StartError"; and the detail
	Labels, Annotations              map[string]string
	LogPath                          string
	PID                              int // on the node, while running
}
