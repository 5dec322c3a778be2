package transform

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The rights that each version of Landlock can deny. A right that a rule set does not name stays unchanged.
const (
	landlockWrites = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	landlockReads    = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	landlockRefer    = unix.LANDLOCK_ACCESS_FS_REFER       // version 2
	landlockTruncate = unix.LANDLOCK_ACCESS_FS_TRUNCATE    // version 3
	landlockNetwork  = unix.LANDLOCK_ACCESS_NET_BIND_TCP | // version 4
		unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	landlockDevices = unix.LANDLOCK_ACCESS_FS_IOCTL_DEV          // version 5
	landlockSockets = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET   // version 6
	landlockThreads = uintptr(unix.LANDLOCK_RESTRICT_SELF_TSYNC) // version 8
)

// landlockRules names everything that a kernel of the given version can deny; reads only if that is requested. Signals
// are left out. Kernels before 6.15 would also deny those between the threads of one process, with which the Go runtime
// preempts them. seccomp restricts signals.
func landlockRules(version int, reads bool) unix.LandlockRulesetAttr {
	attr := unix.LandlockRulesetAttr{Handled_access_fs: landlockWrites}
	if reads {
		attr.Handled_access_fs |= landlockReads
	}
	if version >= 2 {
		attr.Handled_access_fs |= landlockRefer
	}
	if version >= 3 {
		attr.Handled_access_fs |= landlockTruncate
	}
	if version >= 4 {
		attr.Handled_access_net = landlockNetwork
	}
	if version >= 5 {
		attr.Handled_access_fs |= landlockDevices
	}
	if version >= 6 {
		attr.Scoped = landlockSockets
	}
	return attr
}

// landlockVersion asks the kernel for its version; the error says why there is none.
func landlockVersion() (int, error) {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	switch {
	case errno == unix.ENOSYS:
		return 0, errors.New("this kernel has none")
	case errno == unix.EOPNOTSUPP:
		return 0, errors.New("this kernel was started without it (lsm=landlock,...)")
	case errno != 0:
		return 0, errno
	}
	return int(v), nil
}

// landlockAtBirth keeps the calling thread, and every process that it starts, from changing or creating any file, and
// from using TCP. There are two exceptions: /proc, where a worker sets its name and its rank for the kernel's OOM
// killer, and the null device, which it is given. landlockNothing denies reads later, as libraries load their plugins
// first.
func landlockAtBirth() error {
	version, err := landlockVersion()
	if err != nil {
		return err
	}
	return landlock(version, landlockRules(version, false), "/proc", os.DevNull)
}

// landlockNothing leaves the calling thread, and those that it starts, no path at all; from version 8 on, all threads.
func landlockNothing() (version int, err error) {
	if version, err = landlockVersion(); err == nil {
		err = landlock(version, landlockRules(version, true))
	}
	if err != nil {
		return 0, err
	}
	return version, nil
}

// landlock applies a rule set with an exception for writes below some paths.
func landlock(version int, attr unix.LandlockRulesetAttr, except ...string) error {
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return fmt.Errorf("rule set: %w", errno)
	}
	defer unix.Close(int(fd))
	for _, path := range except {
		if err := landlockExcept(int(fd), path); err != nil {
			return err
		}
	}
	flags := uintptr(0)
	if version >= 8 && len(except) == 0 {
		flags = landlockThreads
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, flags, 0); errno != 0 {
		return fmt.Errorf("restrict: %w", errno)
	}
	return nil
}

func landlockExcept(ruleset int, path string) error {
	dir, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer unix.Close(dir)
	rule := unix.LandlockPathBeneathAttr{Allowed_access: unix.LANDLOCK_ACCESS_FS_WRITE_FILE, Parent_fd: int32(dir)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("rule for %s: %w", path, errno)
	}
	return nil
}
