package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// packages has every program that tests, scripts of tests and documents call, and what .ci/setup installs for it. "" =
// it is in Debian's base system.
var packages = map[string]string{
	"bash": "", "cat": "", "cd": "", "chmod": "", "chown": "", "do": "", "done": "", "echo": "", "export": "",
	"for": "", "grep": "", "head": "", "mkdir": "", "printf": "", "sed": "", "sh": "",
	"tr": "", "true": "", "umask": "", "unshare": "", "until": "",
	"git": "", "make": "", // README.md has its reader install git and make.
	"chromium": "chromium", "curl": "curl", "epmd": "rabbitmq-server", "exiftool": "libimage-exiftool-perl", "go": "golang-go",
	"nats-server": "install_tool nats-server",
	"nginx":       "nginx", "node": "nodejs", "openssl": "openssl", "python3": "python3",
	"redis-server": "redis-server", "ssimulacra2": "libjxl-devtools", "strace": "strace",
	"prometheus": "prometheus", "promtool": "prometheus", "varnishd": "varnish", "versitygw": "install_tool versitygw",
}

// .ci/fresh has a newcomer's machine install what README.md says, and nothing else.
func TestFreshFollowsReadme(t *testing.T) {
	said := regexp.MustCompile("apt-get install ([a-z -]+)`").FindStringSubmatch(document(t, "README.md"))
	done := regexp.MustCompile(`apt-get install -y -qq --no-install-recommends ([a-z -]+); } >/root/`).FindStringSubmatch(document(t, ".ci/fresh"))
	if said == nil || done == nil || said[1] != done[1] {
		t.Errorf("README.md has %q installed, .ci/fresh %q", said, done)
	}
	for _, name := range strings.Fields(done[1]) {
		if !strings.Contains(document(t, "docs/start.md"), "`"+name+"`") {
			t.Errorf("docs/start.md does not name %s", name)
		}
	}
}

// calledByTests are the programs whose names stand in tests: behind exec.Command and its like, and in helpers that look them up.
func calledByTests(t *testing.T) map[string]string {
	t.Helper()
	called := map[string]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			at := map[string]int{"Command": 0, "LookPath": 0, "CommandContext": 1, "installed": 1}
			name := ""
			switch f := call.Fun.(type) {
			case *ast.SelectorExpr:
				if x, ok := f.X.(*ast.Ident); ok && x.Name == "exec" {
					name = f.Sel.Name
				}
			case *ast.Ident:
				name = f.Name
			}
			i, ok := at[name]
			if !ok || len(call.Args) <= i {
				return true
			}
			if lit, ok := call.Args[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				program, err := strconv.Unquote(lit.Value)
				if err == nil {
					called[program] = set.Position(lit.Pos()).String()
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return called
}

// calledByDocuments are the first words of the commands in fences that are run.
func calledByDocuments(t *testing.T) map[string]string {
	t.Helper()
	called := map[string]string{}
	fences := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	command := regexp.MustCompile(`(?m)(?:^|[|;&({!]|\bdo\b|\bthen\b|\buntil\b)[ \t]*(?:[A-Za-z_]+=[^\s(]*[ \t]+)*([a-z][a-z0-9_.-]*)(?:[\s;)|&]|$)`)
	runs := map[string]string{"python run": "python3", "js run": "node", "go run": "go"}
	for _, file := range markdown(t) {
		text := document(t, file)
		for fence, program := range runs {
			if strings.Contains(text, "\n```"+fence) {
				called[program] = file
			}
		}
		for _, m := range fences.FindAllStringSubmatch(text, -1) {
			script := strings.ReplaceAll(m[1], "\\\n", " ")
			for _, cut := range []struct{ pattern, by string }{{`'[^']*'`, "Q"}, {`(?m)(^|\s)#.*$`, ""}, {`"\$\(`, "$("}, {`"[^"$]*"`, "Q"}} {
				script = regexp.MustCompile(cut.pattern).ReplaceAllString(script, cut.by)
			}
			for _, c := range command.FindAllStringSubmatch(script, -1) {
				called[c[1]] = file
			}
		}
	}
	return called
}

// Every program that a test or a document calls is in Debian's base system, or installed by .ci/setup.
func TestEveryProgramIsInstalled(t *testing.T) {
	setup := document(t, ".ci/setup")
	byTests, byDocuments := calledByTests(t), calledByDocuments(t)
	if len(byTests) < 8 || byDocuments["curl"] == "" || byDocuments["openssl"] == "" {
		t.Fatalf("tests call %v, documents call %v", byTests, byDocuments)
	}
	for _, called := range []map[string]string{byTests, byDocuments} {
		for program, where := range called {
			if program == "goldcrest" || program == "/proc/self/exe" {
				continue // They are this program itself.
			}
			if _, known := packages[program]; !known {
				t.Errorf("%s calls %s: have .ci/setup install it, and name it in packages", where, program)
			}
		}
	}
	for program, from := range packages {
		if from != "" && !slices.Contains(strings.Fields(strings.NewReplacer(";", " ", `"`, " ").Replace(setup)), strings.TrimPrefix(from, "install_tool ")) {
			t.Errorf("%s: .ci/setup does not install %s", program, from)
		}
	}
}

// A program that opens /dev/stderr, as tee does, empties the file that is the log of the whole run.
func TestScriptsKeepTheLog(t *testing.T) {
	scripts, err := filepath.Glob(".ci/*")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, name := range append(scripts, "Makefile") {
		if info, err := os.Stat(name); err != nil || info.IsDir() {
			continue
		}
		text := document(t, name)
		if found := regexp.MustCompile(`/dev/std(out|err)|/proc/self/fd/`).FindString(text); found != "" {
			t.Errorf("%s opens %s: redirect to a descriptor instead (>&2)", name, found)
		}
	}
}
