package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Instances, NATS, bucket and origin fail at random while units are posted and pictures are viewed and purged. Then
// every promise is checked: `bench -run chaos`, for a short time. GOLDCREST_CHAOS_SEED repeats a run's faults.
func TestChaos(t *testing.T) {
	for name, variable := range map[string]string{"versitygw": "GOLDCREST_VERSITYGW", "nats-server": "GOLDCREST_NATS_SERVER"} {
		if _, err := os.Stat(os.Getenv(variable)); err != nil {
			if _, err := exec.LookPath(name); err != nil {
				t.Skipf("%s is not installed (make test installs it; or set %s)", name, variable)
			}
		}
	}
	seed := os.Getenv("GOLDCREST_CHAOS_SEED")
	if seed == "" {
		seed = fmt.Sprint(1 + rand.Uint32())
	}
	bench := filepath.Join(t.TempDir(), "bench")
	build := exec.Command("go", "build", "-o", bench, ".")
	build.Dir = "../bench"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := exec.Command(bench, "-run", "chaos", "-chaos", "20s", "-seed", seed, "-binary", binary, "-limit", "8m")
	run.Dir = "../bench"
	out, err := run.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("a promise was not kept with seed %s: %v", seed, err)
	}
	if !strings.Contains(string(out), "variants with one verdict each") {
		t.Error("nothing was checked")
	}
}
