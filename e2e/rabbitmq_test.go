package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rabbit is a RabbitMQ of the test's own. Without the wrapper that changes the user, and without an epmd that stays.
type rabbit struct {
	t          *testing.T
	dir, addr  string
	node       *exec.Cmd
	log        logBuffer
	distribute string // the port of its epmd
}

const rabbitProgram = "/usr/lib/rabbitmq/bin/rabbitmq-server"

func startRabbit(t *testing.T) *rabbit {
	t.Helper()
	if _, err := os.Stat(rabbitProgram); err != nil {
		t.Skip("rabbitmq-server is not installed (make test installs it)")
	}
	r := &rabbit{t: t, dir: t.TempDir(), addr: freePort(t)}
	_, r.distribute, _ = net.SplitHostPort(freePort(t))
	names := exec.Command("epmd", "-port", r.distribute, "-address", "127.0.0.1")
	if err := names.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { names.Process.Kill(); names.Wait() })
	write(t, filepath.Join(r.dir, "plugins"), "[].")
	write(t, filepath.Join(r.dir, "conf"), "loopback_users = none\n")
	r.start()
	t.Cleanup(r.kill)
	return r
}

// start starts the node, on the data it has, and waits until it answers.
func (r *rabbit) start() {
	r.t.Helper()
	_, port, _ := net.SplitHostPort(r.addr)
	_, dist, _ := net.SplitHostPort(freePort(r.t))
	r.node = exec.Command(rabbitProgram)
	r.node.Env = append(os.Environ(), "HOME="+r.dir, "RABBITMQ_NODENAME=shop@localhost",
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT="+port, "RABBITMQ_DIST_PORT="+dist, "ERL_EPMD_PORT="+r.distribute,
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_MNESIA_BASE="+r.dir, "RABBITMQ_LOG_BASE="+r.dir, "RABBITMQ_CONF_ENV_FILE="+os.DevNull,
		"RABBITMQ_ENABLED_PLUGINS_FILE="+r.dir+"/plugins", "RABBITMQ_CONFIG_FILE="+r.dir+"/conf",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}")
	r.node.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r.node.Stdout, r.node.Stderr = &r.log, &r.log
	if err := r.node.Start(); err != nil {
		r.t.Fatal(err)
	}
	within(r.t, 90*time.Second, "RabbitMQ answers", func() bool {
		c, err := net.DialTimeout("tcp", r.addr, time.Second)
		if err != nil {
			return false
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		n, _ := c.Write([]byte("AMQP\x00\x00\x09\x01"))
		m, _ := c.Read(make([]byte, 1))
		return n == 8 && m == 1
	})
}

// kill ends the node and all that it started.
func (r *rabbit) kill() {
	syscall.Kill(-r.node.Process.Pid, syscall.SIGKILL)
	r.node.Wait()
}

// shop is a Celery project on that broker.
type shop struct {
	t      *testing.T
	python string
	env    []string
	base   string
	log    logBuffer
}

func newShop(t *testing.T, broker *rabbit) *shop {
	t.Helper()
	s := &shop{t: t, base: filepath.Join(t.TempDir(), "shop.db")}
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import celery, sqlite3").Run() == nil {
			s.python = python
		}
	}
	if s.python == "" {
		t.Skip("python3-celery is not installed (make test installs it)")
	}
	s.env = append(os.Environ(), "SHOP_BROKER=amqp://guest:guest@"+broker.addr+"//",
		"SHOP_DATABASE="+s.base, "PYTHONDONTWRITEBYTECODE=1")
	return s
}

// run starts a Python process of the project; kill ends it as kill -9 does.
func (s *shop) run(args ...string) (kill func()) {
	s.t.Helper()
	cmd := exec.Command(s.python, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = "testdata/celery", s.env, &s.log, &s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	kill = func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	}
	s.t.Cleanup(kill)
	return kill
}

func (s *shop) worker() (kill func()) {
	s.t.Helper()
	return s.run("-m", "celery", "-A", "shop", "worker", "-Q", "shop", "-P", "solo", "--without-gossip",
		"--without-mingle", "-l", "warning")
}

func (s *shop) send(from, to int, images string) {
	s.t.Helper()
	s.run("shop.py", "send", strconv.Itoa(from), strconv.Itoa(to), images)
}

// rows are the lines that a query gives.
func (s *shop) rows(query string) []string {
	s.t.Helper()
	const script = "import sqlite3, sys\nfor row in sqlite3.connect(sys.argv[1], timeout=30).execute(sys.argv[2]): print(*row)"
	out, err := exec.Command(s.python, "-c", script, s.base, query).Output()
	if err != nil {
		return nil // There is no table yet.
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// count is how many verdicts there are.
func (s *shop) count() int {
	rows := s.rows("SELECT count(*) FROM verdicts")
	if len(rows) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(rows[0])
	return n
}

// rabbitUnits is how many units the shop sends: GOLDCREST_UNITS, or a few hundred.
func rabbitUnits(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("GOLDCREST_UNITS"))
	if err != nil {
		n = 200
	}
	return n
}

// A Celery project on RabbitMQ sends units as task calls, while the server, the broker and the project's worker are
// killed in turn. Nothing is lost: in the project's own database there is one verdict for each unit, under the id of
// its task, and each task made one job.
func TestRabbitMQCelery(t *testing.T) {
	broker, o := startRabbit(t), startOrigin(t)
	units, shop := rabbitUnits(t), newShop(t, broker)
	o.draw(t, units, 0)
	env := append(slices.Clone(drawnEnv), "GOLDCREST_SERVER_LISTEN="+freePort(t), "GOLDCREST_SERVER_ADMIN="+freePort(t),
		`GOLDCREST_INTAKES=[{name: shop, kind: rabbitmq, url: "amqp://guest:guest@`+broker.addr+`/", token: backend, from: prewarm, body: unit, `+
			`verdicts: {to: shop, task: shop.verdict, events: [unit.done]}}]`)
	s := start(t, env...)
	kill := shop.worker()
	shop.send(0, units/2, o.URL+"/drawn")
	shop.send(units/2-10, units, o.URL+"/drawn") // Ten come twice.

	reach := func(n int) {
		t.Helper()
		within(t, time.Duration(60+units/20)*time.Second, fmt.Sprint(n, " verdicts are there"),
			func() bool { return shop.count() >= n })
	}
	reach(units / 5)
	s.kill()
	s = startIn(t, s.dir, env...)
	reach(2 * units / 5)
	broker.kill()
	broker.start()
	reach(3 * units / 5)
	kill()
	shop.worker()
	reach(units)

	for i, row := range shop.rows("SELECT substr(unit, 6) AS number, message, unit, state, variants FROM verdicts ORDER BY 0 + number") {
		if want := fmt.Sprintf("%d task-%d unit-%d done 2", i, i, i); row != want {
			t.Fatalf("verdict %d is %q, want %q", i, row, want)
		}
	}
	if n := shop.count(); n != units {
		t.Errorf("there are %d verdicts, want %d", n, units)
	}
	jobs := 0
	for cursor := ""; ; {
		var page struct {
			Jobs   []job
			Cursor string `json:"cursor"`
		}
		a := s.call("GET", "/v1/jobs?limit=1000"+cursor, "")
		if err := json.Unmarshal(a.body, &page); err != nil {
			t.Fatal(err)
		}
		if jobs += len(page.Jobs); page.Cursor == "" {
			break
		}
		cursor = "&cursor=" + page.Cursor
	}
	if jobs != units {
		t.Errorf("there are %d jobs, want %d: one for each task", jobs, units)
	}
}
