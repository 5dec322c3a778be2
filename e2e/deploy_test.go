package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The deployment files are parsed by the programs for which they are written, as far as these are installed.
func TestDeployFiles(t *testing.T) {
	unit, err := os.ReadFile("../deploy/systemd/goldcrest.service")
	if err != nil {
		t.Fatal(err)
	}
	service := filepath.Join(t.TempDir(), "goldcrest.service")
	write(t, service, strings.Replace(string(unit), "ExecStart=/usr/local/bin/goldcrest", "ExecStart=/bin/true", 1))
	nats := os.Getenv("GOLDCREST_NATS_SERVER")
	if nats == "" {
		nats = "nats-server"
	}
	for name, call := range map[string][]string{
		"alerts":     {"promtool", "check", "rules", "../deploy/prometheus/alerts.yaml"},
		"prometheus": {"promtool", "check", "config", "../deploy/prometheus/prometheus.yaml"},
		"compose":    {"docker", "compose", "-f", "../deploy/compose.yaml", "config", "--quiet"},
		"nats":       {nats, "-t", "-c", "../deploy/compose/nats.conf"},
		"systemd":    {"systemd-analyze", "verify", service},
	} {
		t.Run(name, func(t *testing.T) {
			program, err := exec.LookPath(call[0])
			if err != nil {
				t.Skipf("%s is not installed", call[0])
			}
			if name == "compose" && exec.Command(program, "compose", "version").Run() != nil {
				t.Skip("docker compose is not installed")
			}
			cmd := exec.Command(program, call[1:]...)
			cmd.Env = append(os.Environ(), "NATS_NAME=nats-1", "S3_ACCESS_KEY=a", "S3_SECRET_KEY=b", "GRAFANA_PASSWORD=c", "NATS_PASSWORD=d", "NATS_ROUTES=[]")
			out, err := cmd.CombinedOutput()
			if err != nil || name == "systemd" && strings.Contains(string(out), service) {
				t.Errorf("%v: %v\n%s", call, err, out)
			}
		})
	}
}
