// Package crilog keeps what a container prints in files that any Kubernetes tool
// reads: the CRI log format (design-proposals-archive, node/kubelet-cri-logging.md).
//
//	2026-03-01T09:30:00.123456789Z stdout F a line
//	2026-03-01T09:30:00.123460000Z stderr P the beginning of a long line
//	2026-03-01T09:30:00.123460000Z stderr F , and its end
//
//	container ── pipe ── Stream ┐
//	container ── pipe ── Stream ┴ Log ── 0.log, 0.log.1 (older), 0.log.2 … ── Read
//
// The text of an entry has at most MaxText bytes. What is longer, and what ends
// without a line end, is P; so the bytes that come out of Read are those that the
// container wrote, line ends and all.
//
// Guarantees:
//   - a line is in one file, whole: rotation comes between entries;
//   - a Log never waits for anybody but the file system, and never fails its writer:
//     entries that cannot be written (a full disk) are counted, and once there is room
//     again a line of stderr says how many were lost;
//   - Read shows every entry once and in order, over any number of rotations, as long
//     as the file it reads is not one of those that rotation removed: who is slower
//     than Keep files of MaxBytes loses the oldest, and goes on with the oldest there is.
//
// Caveats: entries are not brought to the disk (fsync): a machine that loses power
// loses the newest. An entry's time is when it was read from the pipe, not when it was
// printed. A line that has begun and not ended is shown once it ends, or is MaxText long.
//
// In full size: containerd, internal/cri/io/logger.go; Kubernetes,
// staging/src/k8s.io/cri-client/pkg/logs/logs.go and pkg/kubelet/logs.
package crilog
