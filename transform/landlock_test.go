package transform

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// layers tries each layer of Landlock alone, in a process of its own.
func layers() {
	runtime.LockOSThread()
	try := func(what string, err error) { fmt.Printf("%s: %v\n", what, err) }
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		try("no_new_privs", err)
	}
	try("birth", landlockAtBirth())
	try("write", opens(target(), unix.O_CREAT|unix.O_WRONLY))
	try("append", opens(os.Args[2], unix.O_WRONLY))
	try("remove", unix.Unlink(os.Args[2]))
	try("truncate", unix.Truncate(os.Args[2], 0))
	try("read", opens(os.Args[2], unix.O_RDONLY))
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 1})
	}
	try("connect", err)
	_, err = landlockNothing()
	try("nothing", err)
	try("read again", opens(os.Args[2], unix.O_RDONLY))
}

// Each layer of Landlock works without seccomp.
func TestLandlockAlone(t *testing.T) {
	version, err := landlockVersion()
	if err != nil {
		t.Skip("no Landlock:", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(self, "layers", file).CombinedOutput()
	want := []string{"birth: <nil>", "write: permission denied", "append: permission denied", "remove: permission denied", "read: <nil>",
		"nothing: <nil>", "read again: permission denied"}
	if version >= 3 {
		want = append(want, "truncate: permission denied")
	}
	if version >= 4 {
		want = append(want, "connect: permission denied")
	}
	for _, line := range want {
		if err != nil || !strings.Contains(string(out), line+"\n") {
			t.Errorf("%v, no line %q in\n%s", err, line, out)
		}
	}
}
