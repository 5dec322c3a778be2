package secretfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const stranger = 54321 // a user that is neither root nor this process

// write makes a file, and the directories above it that are not there.
func write(t *testing.T, path string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("hush"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func link(t *testing.T, target, name string) string {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
	return name
}

// foreignLink is what the error says of a link of another user in a sticky directory. Where systemd set it so, the
// kernel does not follow it.
func foreignLink(t *testing.T) string {
	protected, err := os.ReadFile("/proc/sys/fs/protected_symlinks")
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(protected)) == "1" {
		return "permission denied"
	}
	return "the link"
}

// Whatever lets another user write the file or put another in its place is refused, by the check and by the reading.
func TestRead(t *testing.T) {
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name string
		make func(dir string) (path string)
		want string // part of the error; "" = it is read
		warn bool
		root bool // only root can make it
	}{
		{name: "own", make: func(d string) string { return write(t, d+"/s", 0o600) }},
		{name: "readable by all", make: func(d string) string { return write(t, d+"/s", 0o644) }, warn: true},
		{name: "group writes", make: func(d string) string { return write(t, d+"/s", 0o660) }, want: "chmod go-w"},
		{name: "all write", make: func(d string) string { return write(t, d+"/s", 0o602) }, want: "chmod go-w"},
		{name: "of a stranger", make: func(d string) string {
			path := write(t, d+"/s", 0o600)
			must(os.Chown(path, stranger, -1))
			return path
		}, want: "belongs to user 54321", root: true},
		{name: "directory that all write", make: func(d string) string {
			path := write(t, d+"/a/s", 0o600)
			must(os.Chmod(d+"/a", 0o777))
			return path
		}, want: "/a can be written by others"},
		{name: "directory further up", make: func(d string) string {
			path := write(t, d+"/a/b/c/s", 0o600)
			must(os.Chmod(d+"/a", 0o775))
			return path
		}, want: "/a can be written by others"},
		{name: "directory of a stranger", make: func(d string) string {
			path := write(t, d+"/a/s", 0o600)
			must(os.Chown(d+"/a", stranger, -1))
			return path
		}, want: "/a belongs to user 54321", root: true},
		{name: "sticky directory, as a mounted volume", make: func(d string) string {
			write(t, d+"/a/..data/s", 0o600)
			must(os.Chmod(d+"/a", 0o777|os.ModeSticky))
			return link(t, "..data/s", d+"/a/s")
		}},
		{name: "link in a directory that all write", make: func(d string) string {
			path := write(t, d+"/good/s", 0o600)
			must(os.Mkdir(d+"/bad", 0o700))
			link(t, path, d+"/bad/middle")
			must(os.Chmod(d+"/bad", 0o777))
			return link(t, d+"/bad/middle", d+"/s")
		}, want: "/bad can be written by others"},
		{name: "link to a directory that all write", make: func(d string) string {
			write(t, d+"/bad/s", 0o600)
			must(os.Chmod(d+"/bad", 0o777))
			return link(t, "bad", d+"/dir") + "/s"
		}, want: "/bad can be written by others"},
		{name: "link of a stranger in a sticky directory", make: func(d string) string {
			path := write(t, d+"/good/s", 0o600)
			must(os.Mkdir(d+"/a", 0o700))
			link(t, path, d+"/a/s")
			must(os.Lchown(d+"/a/s", stranger, -1))
			must(os.Chmod(d+"/a", 0o777|os.ModeSticky))
			return d + "/a/s"
		}, want: foreignLink(t), root: true},
	} {
		if test.root && os.Geteuid() != 0 {
			continue
		}
		path := test.make(t.TempDir())
		warning, err := Check(path)
		text, readErr := Read(path)
		for what, err := range map[string]error{"Check": err, "Read": readErr} {
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %s gives %v, want %q", test.name, what, err, test.want)
			}
		}
		if test.want == "" && string(text) != "hush" || (warning != "") != test.warn {
			t.Errorf("%s: read %q, warning %q", test.name, text, warning)
		}
	}
}

// What is judged is the file that is read, also when its name stands for another one by then.
func TestReadJudgesWhatItOpened(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir+"/s", 0o666)
	err := ReadIf(path, 100, func([]byte) (bool, error) {
		if err := os.Rename(write(t, dir+"/good", 0o600), path); err != nil {
			t.Fatal(err)
		}
		return true, nil
	})
	if err == nil {
		t.Error("a file that all could write was taken, because a better one stands in its place now")
	}
}

func TestReadIf(t *testing.T) {
	path := write(t, t.TempDir()+"/s", 0o666)
	if err := ReadIf(path, 100, func([]byte) (bool, error) { return false, nil }); err != nil {
		t.Errorf("without secrets: %v", err)
	}
	if err := ReadIf(path, 3, func([]byte) (bool, error) { return false, nil }); err == nil || !strings.Contains(err.Error(), "more than 3 bytes") {
		t.Errorf("too large: %v", err)
	}
	if warning, err := Check(path + "-absent"); warning != "" || err != nil {
		t.Errorf("absent: %q, %v", warning, err)
	}
	if _, err := Read(path + "-absent"); !os.IsNotExist(err) {
		t.Errorf("absent: %v", err)
	}
}

func TestValue(t *testing.T) {
	path := t.TempDir() + "/s"
	if err := os.WriteFile(path, []byte(" of the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ inline, path, want string }{
		{"inline ", "", "inline "}, {"inline", path, "of the file"}, {"", path, "of the file"},
	} {
		if got, err := Value(x.inline, x.path); got != x.want || err != nil {
			t.Errorf("Value(%q, %q) = %q, %v; want %q", x.inline, x.path, got, err, x.want)
		}
	}
	if err := os.WriteFile(path, make([]byte, limit+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Value("", path); err == nil || !strings.Contains(err.Error(), "more than 262144 bytes") {
		t.Errorf("a file that is too large: %v", err)
	}
}
