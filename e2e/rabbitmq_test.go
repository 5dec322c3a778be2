package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
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

// rabbit is a RabbitMQ node for one test. It runs without the wrapper that changes the user, and without an epmd that
// stays.
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

// start starts the node on its existing data, and waits until it responds.
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

// kill kills the node and its child processes.
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

// run starts a Python process of the project; kill kills it like kill -9.
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

// send sends the units from..to-1, each with a different photo.
func (s *shop) send(from, to int, o *origin) {
	s.t.Helper()
	args := append([]string{"shop.py", "send", strconv.Itoa(from), strconv.Itoa(to), o.URL + "/alias"}, shopPhotos...)
	s.run(args...)
}

// shopPhotos are the photos of the corpus that units use in turn.
var shopPhotos = []string{"exif-portrait-1.jpg", "groceries.jpg", "exif-portrait-3.jpg", "truck-street.jpg",
	"kimono-drawing.jpg", "exif-portrait-6.jpg", "prophoto.jpg", "tree.webp"}

// rows are the result lines of a query.
func (s *shop) rows(query string) []string {
	s.t.Helper()
	const script = "import sqlite3, sys\nfor row in sqlite3.connect(sys.argv[1], timeout=30).execute(sys.argv[2]): print(*row)"
	out, err := exec.Command(s.python, "-c", script, s.base, query).Output()
	if err != nil {
		return nil // There is no table yet.
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// count is the number of verdicts.
func (s *shop) count() int {
	rows := s.rows("SELECT count(*) FROM verdicts")
	if len(rows) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(rows[0])
	return n
}

// reach waits until there are n verdicts. It fails if none arrives for a while.
func (s *shop) reach(n int) {
	s.t.Helper()
	const most = 3 * time.Minute
	for had, since := -1, time.Now(); ; <-time.After(300 * time.Millisecond) {
		count := s.count()
		if count >= n {
			return
		}
		if count > had {
			had, since = count, time.Now()
		}
		if time.Since(since) > most {
			s.t.Fatalf("there are %d verdicts, and no more for %v; want %d\n%s", count, most, n, &s.log)
		}
	}
}

// number is an integer setting of the test run, or its default.
func number(name string, otherwise int) int {
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		return otherwise
	}
	return n
}

// A Celery project on RabbitMQ sends units with real photos as task calls, while the server, the broker and the
// project's worker are killed at random. Nothing is lost: the project's own database has one verdict for each unit,
// under the id of its task, and each task made one job. SHOP_UNITS and SHOP_KILLS change the size of the test.
func TestRabbitMQCelery(t *testing.T) {
	corpus(t)
	broker, o := startRabbit(t), startOrigin(t)
	units, kills, seed := number("SHOP_UNITS", 200), number("SHOP_KILLS", 3), number("SHOP_SEED", rand.Int())
	t.Logf("SHOP_SEED=%d", seed)
	dice, shop := rand.New(rand.NewPCG(uint64(seed), 0)), newShop(t, broker)
	env := append(slices.Clone(drawnEnv), "GOLDCREST_SERVER_LISTEN="+freePort(t), "GOLDCREST_SERVER_ADMIN="+freePort(t),
		`GOLDCREST_INTAKES=[{name: shop, kind: rabbitmq, url: "amqp://guest:guest@`+broker.addr+`/", token: backend, `+
			`from: prewarm, body: unit, verdicts: {to: shop, task: shop.verdict, events: [unit.done]}}]`)
	s := start(t, env...)
	kill := shop.worker()
	shop.send(0, units/2, o)
	shop.send(units/2-10, units, o) // Ten are sent twice.

	killed := []func(pause time.Duration){
		func(pause time.Duration) { s.kill(); time.Sleep(pause); s = startIn(t, s.dir, env...) },
		func(pause time.Duration) { broker.kill(); time.Sleep(pause); broker.start() },
		func(pause time.Duration) { kill(); time.Sleep(pause); kill = shop.worker() },
	}
	began := time.Now()
	var order []int
	for i := range kills {
		if i%len(killed) == 0 {
			order = dice.Perm(len(killed))
		}
		shop.reach(int(float64(units) * (float64(i) + dice.Float64()) / float64(kills)))
		victim, pause := order[i%len(killed)], time.Duration(dice.IntN(2000))*time.Millisecond
		t.Logf("%4.0fs: %d verdicts; kill %s for %v", time.Since(began).Seconds(), shop.count(),
			[]string{"the server", "the broker", "the worker"}[victim], pause)
		killed[victim](pause)
	}
	shop.reach(units)
	t.Logf("%d verdicts after %.0fs", units, time.Since(began).Seconds())
	shop.exact(o, units)
	if jobs := countJobs(s); jobs != units {
		t.Errorf("there are %d jobs, want %d: one for each task", jobs, units)
	}
}

// exact fails unless each unit has exactly one verdict, and it is right.
func (s *shop) exact(o *origin, units int) {
	s.t.Helper()
	rows := s.rows("SELECT substr(unit, 6) AS number, message, unit, state, variants, sources " +
		"FROM verdicts ORDER BY 0 + number")
	if len(rows) != units {
		s.t.Errorf("there are %d verdicts, want %d", len(rows), units)
	}
	for i, row := range rows {
		photo := fmt.Sprintf("%s/alias/%d/%s", o.URL, i, shopPhotos[i%len(shopPhotos)])
		if want := fmt.Sprintf("%d task-%d unit-%d done 2 %s", i, i, i, photo); row != want {
			s.t.Fatalf("verdict %d is %q, want %q", i, row, want)
		}
	}
}

// countJobs counts the jobs of a server.
func countJobs(s *server) (jobs int) {
	s.t.Helper()
	for cursor := ""; ; {
		var page struct {
			Jobs   []job
			Cursor string `json:"cursor"`
		}
		a := s.call("GET", "/v1/jobs?limit=1000"+cursor, "")
		if err := json.Unmarshal(a.body, &page); err != nil {
			s.t.Fatal(err)
		}
		if jobs += len(page.Jobs); page.Cursor == "" {
			return jobs
		}
		cursor = "&cursor=" + page.Cursor
	}
}
