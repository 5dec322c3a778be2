package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// inRoot runs a command in a copy of this machine's root file system. Changes are written to the folder $LAYER.
const inRoot = `set -eu
mount --make-rprivate /
mkdir -p "$LAYER/upper" "$LAYER/work" "$LAYER/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$LAYER/upper,workdir=$LAYER/work" "$LAYER/root" ||
	{ echo "no overlay here"; exit 77; }
for folder in proc dev; do mount --rbind "/$folder" "$LAYER/root/$folder"; done
exec chroot "$LAYER/root" "$@"`

// The Debian package is built, installed by dpkg, started as in its unit, and purged, in a copy of this machine's root
// file system.
func TestShippedPackage(t *testing.T) {
	corpus(t)
	if os.Getuid() != 0 {
		t.Skip("only root can install a package")
	}
	if out, err := exec.Command("unshare", "--mount", "true").CombinedOutput(); err != nil {
		t.Skipf("this root cannot have mounts of its own, as in a chroot: %s", out)
	}
	dir, err := os.MkdirTemp("/dev/shm", "package") // An overlay cannot have its upper layer inside its lower one.
	if err != nil {
		t.Skipf("there is no /dev/shm: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	pack := exec.Command("bash", "../.ci/deb", binary, "v1.2.3-rc.1-4-gabcdef", dir)
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	packages, _ := filepath.Glob(filepath.Join(dir, "goldcrest_1.2.3~rc.1+4+gabcdef+deb*_*.deb"))
	if len(packages) != 1 {
		t.Fatalf("there are the packages %q", packages)
	}
	chroot := func(args ...string) *exec.Cmd {
		cmd := exec.Command("unshare", append([]string{"--mount", "bash", "-c", inRoot, "bash"}, args...)...)
		cmd.Env = append(os.Environ(), "LAYER="+dir)
		return cmd
	}
	inside := func(script string) string {
		t.Helper()
		cmd := chroot("sh", "-euc", script)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() == 77 {
			t.Skipf("this machine cannot mount a copy of its root: %s", out)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	inside("dpkg -i " + packages[0])
	got := inside("stat -c '%n %a %U:%G' /etc/goldcrest /etc/goldcrest/*; wc -c </etc/goldcrest/signing")
	want := "/etc/goldcrest 750 root:goldcrest\n/etc/goldcrest/api 640 root:goldcrest\n" +
		"/etc/goldcrest/config.yaml 640 root:goldcrest\n/etc/goldcrest/signing 640 root:goldcrest\n130\n"
	if got != want {
		t.Errorf("installed are\n%swant\n%s", got, want)
	}
	token := inside("mkdir -m 700 /var/lib/goldcrest; chown goldcrest: /var/lib/goldcrest; " + // like StateDirectory
		"cat /etc/goldcrest/api")
	args := []string{"setpriv", "--reuid=goldcrest", "--regid=goldcrest", "--clear-groups",
		"env", "-C", "/var/lib/goldcrest", "GOLDCREST_CACHE_STORE_MIN_FREE=1MiB"}
	env, start := unitStart(inside("cat /usr/lib/systemd/system/goldcrest.service"))
	cmd := chroot(slices.Concat(args, env, strings.Fields(start))...)
	cmd.Env = append(cmd.Env, shippedEnv...)
	s := launchCmd(t, dir, cmd)
	s.await()
	if n := s.worksAsShipped(strings.TrimSpace(token)); n != 1 {
		t.Errorf("the origin was asked %d times, want once", n)
	}
	s.stop()
	inside("dpkg -i " + packages[0]) // again: secrets are kept
	if again := inside("cat /etc/goldcrest/api"); again != token {
		t.Error("installing the package again changed the token")
	}
	inside("dpkg -P goldcrest 2>&1; ! getent passwd goldcrest; " +
		"for place in /etc/goldcrest /var/lib/goldcrest /usr/bin/goldcrest; do ! test -e $place; done")
}
