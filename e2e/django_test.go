package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// djangoRig is the example's project with its web server and its worker.
type djangoRig struct {
	t      *testing.T
	python string
	env    []string
	log    logBuffer
}

// run runs the project's command line.
func (r *djangoRig) run(arguments ...string) string {
	r.t.Helper()
	cmd := exec.Command(r.python, append([]string{"manage.py"}, arguments...)...)
	cmd.Dir, cmd.Env = "../examples/django", r.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("manage.py %q: %v\n%s", arguments, err, out)
	}
	return string(out)
}

// rows counts the rows of a table that meet a condition.
func (r *djangoRig) rows(table, condition string) string {
	r.t.Helper()
	const program = "import os, sqlite3, sys; " +
		"print(sqlite3.connect(os.environ['SHOP_DATABASE'], timeout=20).execute(sys.argv[1]).fetchone()[0], end='')"
	cmd := exec.Command(r.python, "-c", program, "SELECT count(*) FROM shop_"+table+" WHERE "+condition)
	cmd.Env = r.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// The example runs in a real Django project, started as in its README. The photo of a saved product is made, callbacks
// reach the view, and the verdicts are in the project's database. The command posts existing products, and names broken
// ones. The photo of a deleted product is purged.
func TestDjango(t *testing.T) {
	corpus(t)
	r := &djangoRig{t: t, python: pythonWith(t, "celery, django, redis")}
	o, broker, web, secret := startOrigin(t), startRedis(t), freePort(t), callbackSecret(t)
	s := start(t, append(prewarmEnv,
		`GOLDCREST_PRESETS={lite: "rs:fit:160:0/f:jpg"}`, "GOLDCREST_PREWARM_PRESETS=[lite]",
		`GOLDCREST_PREWARM_CALLBACKS_ALLOW=["http://`+web+`"]`,
		"GOLDCREST_PREWARM_CALLBACKS_SECRETS=[{secret_file: "+secret+"}]")...)
	clients, err := filepath.Abs("../clients/python")
	if err != nil {
		t.Fatal(err)
	}
	r.env = append(os.Environ(), "GOLDCREST_URL="+s.admin, "GOLDCREST_TOKEN="+backendToken, "PYTHONPATH="+clients,
		"PYTHONDONTWRITEBYTECODE=1", "CELERY_BROKER_URL=redis://"+broker+"/0",
		"GOLDCREST_CALLBACK=http://"+web+"/goldcrest/",
		"GOLDCREST_WEBHOOK_SECRETS="+strings.TrimSpace(readFile(t, secret)),
		"DJANGO_SECRET_KEY=test", "SHOP_DATABASE="+filepath.Join(t.TempDir(), "shop.sqlite3"))

	cmd := exec.Command("bash", "-c", readmeScript(t, "../examples/django/README.md", strings.NewReplacer(
		"http://goldcrest.internal:8081", s.admin, "127.0.0.1:8000", web, "127.0.0.1:6379", broker,
		"webhook.secret", secret,
		"https://example.com/shoe.jpg", o.URL+"/photos/cardinal.jpg", "python3", r.python)))
	var out logBuffer
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = "..", &out, &r.log, r.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second // The web server and the worker stay and keep the pipes open.
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if t.Failed() {
			t.Logf("the project says\n%s", &r.log)
		}
	})
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 0 {
		t.Fatalf("%v\n%s", err, &out)
	}
	if !strings.Contains(out.String(), "1 units with images of 1 instances are posted in 1 jobs") {
		t.Errorf("the backfill says\n%s", &out)
	}
	verdict := "state IN ('made', 'present') AND unit = 'shop.product:1' AND variant = 'lite' AND format = 'jpg'"
	within(t, time.Minute, "the verdict is in the shop's database", func() bool {
		return r.rows("verdict", verdict+" AND bytes > 0") == "1"
	})

	r.run("shell", "-c", "from shop.models import Product; Product.objects.create(gallery=['"+o.URL+"/missing/1.jpg'])")
	within(t, time.Minute, "the shop is told what is broken", func() bool {
		return r.rows("verdict", "state = 'broken' AND reason = 'source_not_found'") == "1" &&
			r.rows("event", "type = 'image.broken'") == "1"
	})

	r.run("shell", "-c", "from shop.models import Product; Product.objects.bulk_create(Product(photo='"+o.URL+
		"/photos/groceries.jpg?%d' % n) for n in range(20))")
	text := r.run("goldcrest_backfill", "shop.Product", "--batch", "5", "--wait")
	for _, said := range []string{
		"22 units with images of 22 instances are posted in 5 jobs",
		"present 1, broken 1, failed 0 variants; 1 images are broken",
		"broken shop.product:2 " + o.URL + "/missing/1.jpg source_not_found\n", "posted 15 of 22 (68%)",
		"jobs done 5 of 5 (100%)",
	} {
		if !strings.Contains(text, said) {
			t.Errorf("the backfill does not say %q:\n%s", said, text)
		}
	}
	photo := signed("pr:lite", o.URL+"/photos/cardinal.jpg")
	cached := func() int { return s.get(photo, "Cache-Control", "only-if-cached").StatusCode }
	if status := cached(); status != 200 {
		t.Errorf("the photo of a product gets %d, want a hit", status)
	}
	r.run("shell", "-c", "from shop.models import Product; Product.objects.get(pk=1).delete()")
	within(t, time.Minute, "the photo of a deleted product is gone", func() bool { return cached() == 504 })
	if strings.Contains(r.log.String(), "Traceback") {
		t.Error("the project has raised an exception")
	}
}
