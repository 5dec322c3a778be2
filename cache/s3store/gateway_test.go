package s3store

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/cache/cachetest"
)

// TestStoreOnServer holds the store to its laws on a real S3 server.
func TestStoreOnServer(t *testing.T) {
	cfg := startServer(t)
	t.Run("seals", func(t *testing.T) {
		sealed := cfg
		sealed.Prefix = "seals"
		cachetest.RunSeals(t, func(t *testing.T, seal cache.Seal) cache.Store {
			sealed.Seal = seal
			s, _ := openStore(t, sealed)
			return s
		})
	})
	for _, checksums := range []string{whenRequired, whenSupported} {
		t.Run(checksums, func(t *testing.T) {
			n := 0
			cachetest.Run(t, func(t *testing.T) cache.Store {
				n++
				own := cfg
				own.Prefix, own.Checksums = fmt.Sprintf("%s/%d", checksums, n), checksums
				s, _ := openStore(t, own)
				return s
			})
		})
	}
	t.Run("self-test", func(t *testing.T) {
		s, _ := openStore(t, cfg)
		if err := s.SelfTest(t.Context()); err != nil {
			t.Errorf("SelfTest = %v", err)
		}
		other := cfg
		other.Bucket = "absent"
		s, _ = openStore(t, other)
		if err := s.SelfTest(t.Context()); err == nil || !strings.Contains(err.Error(), "no bucket") {
			t.Errorf("SelfTest = %v, want that there is no such bucket", err)
		}
		t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
		s, err := Open(t.Context(), cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SelfTest(t.Context()); err == nil || !strings.Contains(err.Error(), "credentials are not valid") {
			t.Errorf("SelfTest = %v, want that the credentials are not valid", err)
		}
	})
	t.Run("many objects", func(t *testing.T) {
		s, _ := openStore(t, cfg)
		for i := range 1100 {
			if err := s.Put(t.Context(), fmt.Sprintf("many/%d", i), cachetest.Entry("x", 10)); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := s.Delete(t.Context(), "many/"); n != 1100 || err != nil {
			t.Errorf("Delete = %d, %v, want 1100", n, err)
		}
	})
}

// startServer runs versitygw on a temporary directory with a bucket in it.
func startServer(t *testing.T) Config {
	t.Helper()
	binary := findServer()
	if binary == "" {
		t.Skip("no versitygw found: GOLDCREST_VERSITYGW names none, and it is neither in PATH nor in GOPATH/bin")
	}
	isolate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "--port", address, "posix", t.TempDir())
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+os.Getenv("AWS_ACCESS_KEY_ID"), "ROOT_SECRET_KEY="+os.Getenv("AWS_SECRET_ACCESS_KEY"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	awaitServer(t, address)
	cfg := Config{Bucket: "goldcrest", Endpoint: "http://" + address, PathStyle: true, Checksums: whenRequired}
	s, _ := openStore(t, cfg)
	if _, err := s.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &cfg.Bucket}); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// awaitServer asks a foreign process until it listens; there is nothing to be told by.
func awaitServer(t *testing.T, address string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			return
		}
		<-tick.C
	}
	t.Fatal("the server does not listen after 10 s")
}

func findServer() string {
	if name := os.Getenv("GOLDCREST_VERSITYGW"); name != "" {
		return name
	}
	if name, err := exec.LookPath("versitygw"); err == nil {
		return name
	}
	gopath, err := exec.Command("go", "env", "GOPATH").Output()
	if err != nil {
		return ""
	}
	name, err := exec.LookPath(filepath.Join(strings.TrimSpace(string(gopath)), "bin", "versitygw"))
	if err != nil {
		return ""
	}
	return name
}
