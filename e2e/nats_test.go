package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// natsPeer is one real nats-server of a cluster.
type natsPeer struct {
	t       *testing.T
	program string
	file    string // its configuration
	name    string
	url     string
	monitor string
	env     []string
	cmd     *exec.Cmd
}

// startNats starts a cluster of three with the configuration shipped for Compose, on addresses of this machine. It
// skips the test if nats-server is not installed.
func startNats(t *testing.T) []*natsPeer {
	t.Helper()
	return startNatsWith(t, readFile(t, "../deploy/compose/nats.conf"))
}

// startNatsWith is startNats with another configuration.
func startNatsWith(t *testing.T, conf string) (peers []*natsPeer) {
	t.Helper()
	program := os.Getenv("GOLDCREST_NATS_SERVER")
	if program == "" {
		program, _ = exec.LookPath("nats-server")
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("nats-server is not installed (make test installs it; or set GOLDCREST_NATS_SERVER)")
	}
	var routes []string
	for range 3 {
		routes = append(routes, freePort(t))
	}
	for i, route := range routes {
		dir, name := t.TempDir(), fmt.Sprint("peer-", i)
		p := &natsPeer{t: t, program: program, file: filepath.Join(dir, "nats.conf"), name: name, url: freePort(t), monitor: freePort(t)}
		text := strings.NewReplacer("0.0.0.0:4222", p.url, "0.0.0.0:8222", p.monitor, "/data", filepath.Join(dir, "data"), "0.0.0.0:6222", route).Replace(conf)
		p.env = append(composeNats(t, routes), "NATS_NAME="+name)
		if err := os.WriteFile(p.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p.start()
		t.Cleanup(p.kill)
		peers = append(peers, p)
	}
	for _, p := range peers {
		p.awaitHealth()
	}
	return peers
}

// composeNats is the environment that compose.yaml gives every NATS server, with a password and addresses of this
// machine.
func composeNats(t *testing.T, routes []string) (env []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^ +(NATS_[A-Z]+): '(.*)'$`).FindAllStringSubmatch(readFile(t, "../deploy/compose.yaml"), -1) {
		value := regexp.MustCompile(`\$\{NATS_PASSWORD[^}]*\}`).ReplaceAllLiteralString(m[2], natsPassword)
		for i, route := range routes {
			value = strings.ReplaceAll(value, fmt.Sprintf("nats-%d:6222", i+1), route)
		}
		env = append(env, m[1]+"="+value)
	}
	if len(env) != 2 {
		t.Fatalf("compose.yaml gives NATS %v", env)
	}
	return env
}

func (p *natsPeer) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.program, "-c", p.file, "-l", filepath.Join(filepath.Dir(p.file), "log"))
	p.cmd.Env = append(os.Environ(), p.env...)
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *natsPeer) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *natsPeer) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// awaitHealth waits until the peer has caught up with its streams.
func (p *natsPeer) awaitHealth() {
	p.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if a, err := request("GET", "http://"+p.monitor+"/healthz"); err == nil && a.StatusCode == 200 {
			return
		}
	}
	log, _ := os.ReadFile(filepath.Join(filepath.Dir(p.file), "log"))
	p.t.Fatalf("%s did not become healthy in 90 s:\n%s", p.name, log)
}

// leads reports whether the peer leads a stream.
func (p *natsPeer) leads(stream string) bool {
	a, err := request("GET", "http://"+p.monitor+"/jsz?accounts=true&streams=true")
	if err != nil {
		return false
	}
	var state struct {
		Accounts []struct {
			Streams []struct {
				Name    string
				Cluster struct{ Leader string }
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := json.Unmarshal(a.body, &state); err != nil {
		p.t.Fatalf("%s: %v: %s", p.name, err, a.body)
	}
	for _, account := range state.Accounts {
		for _, s := range account.Streams {
			if s.Name == stream && s.Cluster.Leader == p.name {
				return true
			}
		}
	}
	return false
}

// leader finds the peer that leads a stream.
func leader(t *testing.T, peers []*natsPeer, stream string) (found *natsPeer) {
	t.Helper()
	eventually(t, stream+" has a leader", func() bool {
		for _, p := range peers {
			if p.leads(stream) {
				found = p
			}
		}
		return found != nil
	})
	return found
}

// natsPassword is the password of the peers.
const natsPassword = "e2e-password-of-nats"

// natsURL contains all peers, with user and password.
func natsURL(peers []*natsPeer) string { return natsURLFor(peers, "goldcrest:"+natsPassword+"@") }

// natsURLFor contains all peers, each with the given user.
func natsURLFor(peers []*natsPeer, user string) string {
	var urls []string
	for _, p := range peers {
		urls = append(urls, "nats://"+user+p.url)
	}
	return strings.Join(urls, ",")
}
