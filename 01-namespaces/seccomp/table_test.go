package seccomp

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write syscalls.txt anew from golang.org/x/sys")

// What x/sys does not say: the x32 ABI has numbers of its own for calls whose
// structures hold pointers, and lacks what is older than itself
// (arch/x86/entry/syscalls/syscall_64.tbl); ARM has private calls.
const (
	x32Own = `rt_sigaction 512 rt_sigreturn 513 ioctl 514 readv 515 writev 516 recvfrom 517 sendmsg 518 recvmsg 519
 execve 520 ptrace 521 rt_sigpending 522 rt_sigtimedwait 523 rt_sigqueueinfo 524 sigaltstack 525 timer_create 526
 mq_notify 527 kexec_load 528 waitid 529 set_robust_list 530 get_robust_list 531 vmsplice 532 move_pages 533
 preadv 534 pwritev 535 rt_tgsigqueueinfo 536 recvmmsg 537 sendmmsg 538 process_vm_readv 539 process_vm_writev 540
 setsockopt 541 getsockopt 542 io_setup 543 io_submit 544 execveat 545 preadv2 546 pwritev2 547`
	x32Lacks = `_sysctl create_module epoll_ctl_old epoll_wait_old get_kernel_syms get_thread_area nfsservctl query_module
 set_thread_area uprobe uretprobe uselib vserver`
	armOwn  = `breakpoint 983041 cacheflush 983042 set_tls 983045 get_tls 983046`
	noCalls = `syscall_mask arch_specific_syscall` // x/sys takes these macros for calls
)

// The table is what golang.org/x/sys says; go test -update makes it so again.
func TestTable_IsThatOfTheKernelHeaders(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		t.Skip("no go command or module cache to read golang.org/x/sys from:", err)
	}
	table := map[string]*[len(columns)]int{}
	put := func(name string, column, number int) {
		if slices.Contains(strings.Fields(noCalls), name) {
			return
		}
		if table[name] == nil {
			table[name] = &[len(columns)]int{-1, -1, -1, -1, -1}
		}
		table[name][column] = number
	}
	pairs := func(text, pattern string, f func(name string, number int)) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			f(strings.ToLower(m[1]), atoi(m[2]))
		}
	}
	for column, goarch := range map[int]string{0: "amd64", 1: "386", 3: "arm64", 4: "arm"} {
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "unix", "zsysnum_linux_"+goarch+".go"))
		require.NoError(t, err)
		pairs(string(text), `SYS_(\w+) += (\d+)`, func(name string, number int) {
			put(name, column, number)
			if column == 0 && !slices.Contains(strings.Fields(x32Lacks), name) {
				put(name, 2, number)
			}
		})
	}
	pairs(x32Own, `(\w+) (\d+)`, func(name string, number int) { put(name, 2, number) })
	pairs(armOwn, `(\w+) (\d+)`, func(name string, number int) { put(name, 4, number) })

	var want strings.Builder
	for _, name := range slices.Sorted(maps.Keys(table)) {
		line := strings.ReplaceAll(fmt.Sprint(*table[name]), "-1", "-")
		fmt.Fprintln(&want, name, strings.Trim(line, "[]"))
	}
	if *update {
		require.NoError(t, os.WriteFile("syscalls.txt", []byte(want.String()), 0o644))
		return
	}
	for column := range columns {
		names := map[int]string{-1: ""}
		for name, numbers := range table {
			if other, twice := names[numbers[column]]; twice && other != "" {
				t.Errorf("%s: %s and %s have one number", columns[column].arch, name, other)
			}
			if numbers[column] >= 0 {
				names[numbers[column]] = name
			}
		}
	}
	require.Equal(t, want.String(), syscalls, "go test -update ./01-namespaces/seccomp makes it anew")
}
