package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inject makes system calls of a running process fail as in strace's -e inject. It skips the test if that is not
// possible.
func inject(t *testing.T, s *server, what string) {
	t.Helper()
	program := installed(t, "strace")
	cmd := exec.Command(program, "-f", "-qqq", "-e", "trace=accept4", "-e", "inject="+what, "-o", "/dev/null", "-p", fmt.Sprint(s.cmd.Process.Pid))
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() })
	refused := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(errs).ReadString('\n')
		refused <- line
		io.Copy(io.Discard, errs)
	}()
	traced := func() bool {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
		return strings.Contains(string(status), fmt.Sprintf("TracerPid:\t%d\n", cmd.Process.Pid))
	}
	for deadline := time.Now().Add(20 * time.Second); !traced(); time.Sleep(20 * time.Millisecond) {
		select {
		case line := <-refused:
			t.Skipf("strace cannot attach here: %s", line)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("strace did not attach in 20 s")
		}
	}
}

// A temporary error of accept() delays a connection and writes a log line.
func TestAcceptErrorsPass(t *testing.T) {
	for _, name := range []string{"ENOBUFS", "EPROTO"} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			inject(t, s, "accept4:error="+name+":when=1") // once in each thread
			for range 4 {
				if a, err := request("GET", s.public+"/health", "Connection", "close"); err != nil || a.StatusCode != 200 {
					t.Fatalf("got %v, %v\n%s", a.Response, err, s.log)
				}
			}
			if !strings.Contains(s.log.String(), "a connection could not be accepted; trying again") {
				t.Errorf("nothing was logged:\n%s", s.log)
			}
		})
	}
}

// If the listener fails permanently, the process ends with an error that says so.
func TestLostListenerEndsTheProcess(t *testing.T) {
	s := start(t, "GOLDCREST_SERVER_DRAIN=1s")
	inject(t, s, "accept4:error=EBADF")
	// If the dial is refused, the accept of an earlier connection has failed, and the listener is lost already.
	if c, err := net.Dial("tcp", strings.TrimPrefix(s.public, "http://")); err == nil {
		defer c.Close()
	}
	if code := s.exits(20 * time.Second); code != 1 || !strings.Contains(s.log.String(), "the public listener is lost") {
		t.Errorf("exit %d, want 1 and a sentence:\n%s", code, s.log)
	}
}
