package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// objects are Kubernetes objects by "Kind/name". The configuration in a ConfigMap is parsed.
type objects map[string]map[string]any

// objectsOf reads what a program prints.
func objectsOf(t *testing.T, program string, args ...string) objects {
	t.Helper()
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		t.Fatalf("%s %v: %v", program, args, err)
	}
	all := objects{}
	for d := yaml.NewDecoder(bytes.NewReader(out)); ; {
		var o map[string]any
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if data, ok := o["data"].(map[string]any); ok {
			var config any
			if err := yaml.Unmarshal([]byte(data["config.yaml"].(string)), &config); err != nil {
				t.Fatal(err)
			}
			data["config.yaml"] = config
		}
		key := o["kind"].(string) + "/" + o["metadata"].(map[string]any)["name"].(string)
		if all[key] != nil {
			t.Errorf("there are two %s", key)
		}
		all[key] = o
	}
}

// chart are the objects of the Helm chart with some values.
func chart(t *testing.T, set ...string) objects {
	t.Helper()
	args := []string{"template", "goldcrest", "../deploy/helm", "--namespace", "goldcrest"}
	for _, s := range set {
		args = append(args, "--set-json", s)
	}
	return objectsOf(t, toolAt(t, "HELM"), args...)
}

// kustomized are the objects of deploy/kubernetes.
func kustomized(t *testing.T) objects {
	t.Helper()
	return objectsOf(t, toolAt(t, "KUSTOMIZE"), "build", "../deploy/kubernetes")
}

// leaves lists the values of an object with their paths, as "path = value".
func leaves(path string, v any) (lines []string) {
	switch v := v.(type) {
	case map[string]any:
		for key, v := range v {
			lines = append(lines, leaves(path+" "+key, v)...)
		}
	case []any:
		for i, v := range v {
			lines = append(lines, leaves(fmt.Sprintf("%s %d", path, i), v)...)
		}
	}
	if len(lines) == 0 {
		text, _ := json.Marshal(v) // YAML's scalars and empty collections have a form in JSON.
		if strings.HasSuffix(path, " checksum/config") {
			text = nil // of what other lines show
		}
		lines = []string{path + " = " + string(text)}
	}
	return lines
}

func (o objects) leaves() (lines []string) {
	for key, object := range o {
		lines = append(lines, leaves(key, object)...)
	}
	slices.Sort(lines)
	return lines
}

// without are the lines of a that b does not have.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(line string) bool { return slices.Contains(b, line) })
}

// With its default values the Helm chart makes the objects that kustomize makes. Three things differ: Helm sets the
// namespace when it installs and makes none, and new pods follow a new configuration by an annotation instead of by a
// ConfigMap with another name.
func TestChartEqualsKustomize(t *testing.T) {
	got, want := chart(t), kustomized(t)
	delete(want, "Namespace/goldcrest")
	for key, o := range want {
		delete(o["metadata"].(map[string]any), "namespace")
		if strings.HasPrefix(key, "ConfigMap/goldcrest-") {
			o["metadata"].(map[string]any)["name"] = "goldcrest"
			want["ConfigMap/goldcrest"] = o
			delete(want, key)
		}
	}
	wanted := want.leaves()
	for i, line := range wanted {
		if path, name, ok := strings.Cut(line, " configMap name = "); ok && strings.HasPrefix(name, `"goldcrest-`) {
			wanted[i] = path + ` configMap name = "goldcrest"`
		}
	}
	lines := got.leaves()
	pods := len(lines)
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, " checksum/config = ") })
	if pods -= len(lines); pods != 2 {
		t.Errorf("%d of 2 deployments start new pods for a new configuration", pods)
	}
	if len(got) < 10 || len(lines) < 200 {
		t.Errorf("there are %d objects with %d values", len(got), len(lines))
	}
	for _, line := range without(wanted, lines) {
		t.Errorf("only kustomize has %s", line)
	}
	for _, line := range without(lines, wanted) {
		t.Errorf("only Helm has %s", line)
	}
}

const (
	proxyPod   = "Deployment/goldcrest-proxy spec template spec "
	prewarmPod = "Deployment/goldcrest-prewarm spec template spec "
)

// both is a change in the pods of both roles.
func both(change string) []string { return []string{prewarmPod + change, proxyPod + change} }

// chartValues has a new value for each documented value of the chart, and what it changes.
var chartValues = map[string]struct {
	set  string
	want []string
}{
	"image.repository": {`"a.example/b"`, both(`containers 0 image = "a.example/b:0.1.0"`)},
	"image.tag":        {`"1.2.3"`, both(`containers 0 image = "registry.example.com/goldcrest:1.2.3"`)},
	"image.digest": {`"sha256:` + digestOfOnes + `"`,
		both(
			`containers 0 image = "registry.example.com/goldcrest@sha256:` + digestOfOnes + `"`)},
	"image.pullSecrets": {`[{"name": "registry"}]`, both(`imagePullSecrets 0 name = "registry"`)},
	"config": {`{"server": {"base_url": "https://p.example"}}`,
		[]string{
			`ConfigMap/goldcrest data config.yaml server base_url = "https://p.example"`}},
	"secrets.files":       {`"mine"`, both(`volumes 1 secret secretName = "mine"`)},
	"secrets.s3":          {`"mine"`, both(`containers 0 envFrom 0 secretRef name = "mine"`)},
	"serviceAccount.name": {`"bucket"`, both(`serviceAccountName = "bucket"`)},
	"proxy.minReplicas":   {`3`, []string{`HorizontalPodAutoscaler/goldcrest-proxy spec minReplicas = 3`}},
	"proxy.maxReplicas":   {`3`, []string{`HorizontalPodAutoscaler/goldcrest-proxy spec maxReplicas = 3`}},
	"proxy.targetCPU": {`50`,
		[]string{
			`HorizontalPodAutoscaler/goldcrest-proxy spec metrics 0 resource target averageUtilization = 50`}},
	"proxy.workers": {`4`, []string{proxyPod + `containers 0 env 1 value = "4"`}},
	"proxy.resources": {`{"limits": {"memory": "4Gi"}}`,
		[]string{
			proxyPod + `containers 0 resources limits memory = "4Gi"`}},
	"prewarm.minReplicas": {`3`, []string{`HorizontalPodAutoscaler/goldcrest-prewarm spec minReplicas = 3`}},
	"prewarm.maxReplicas": {`3`, []string{`HorizontalPodAutoscaler/goldcrest-prewarm spec maxReplicas = 3`}},
	"prewarm.workers":     {`4`, []string{prewarmPod + `containers 0 env 1 value = "4"`}},
	"prewarm.resources": {`{"requests": {"cpu": "4"}}`,
		[]string{
			prewarmPod + `containers 0 resources requests cpu = "4"`}},
	"pods.nodeSelector": {`{"kubernetes.io/arch": "arm64"}`, both(`nodeSelector kubernetes.io/arch = "arm64"`)},
	"pods.tolerations":  {`[{"key": "a"}]`, both(`tolerations 0 key = "a"`)},
	"networkPolicy.egress": {`[{"ports": [{"port": 9000}]}]`,
		[]string{
			`NetworkPolicy/goldcrest spec egress 3 ports 0 port = 9000`}},
	"prewarm.targetWaiting": {`900`,
		[]string{`HorizontalPodAutoscaler/goldcrest-prewarm spec metrics 0 external target averageValue = "900"`}},
	"networkPolicy.monitoring": {`"watch"`,
		[]string{
			`NetworkPolicy/goldcrest spec ingress 1 from 2 namespaceSelector matchLabels kubernetes.io/metadata.name = "watch"`}},
	"networkPolicy.nats": {`"queue"`,
		[]string{
			`NetworkPolicy/goldcrest spec egress 1 to 0 namespaceSelector matchLabels kubernetes.io/metadata.name = "queue"`}},
	"pods.annotations": {`{"a": "b"}`, []string{
		`Deployment/goldcrest-prewarm spec template metadata annotations a = "b"`,
		`Deployment/goldcrest-proxy spec template metadata annotations a = "b"`}},
}

var digestOfOnes = strings.Repeat("1", 64)

// Each value that values.yaml documents has an effect, and no other one.
func TestChartValuesHaveTheirEffect(t *testing.T) {
	var values map[string]yaml.Node
	if err := yaml.Unmarshal([]byte(readFile(t, "../deploy/helm/values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	documented := []string{"config"}
	for section, node := range values {
		for i := 0; section != "config" && i < len(node.Content); i += 2 {
			key := node.Content[i]
			if documented = append(documented, section+"."+key.Value); key.HeadComment == "" {
				t.Errorf("%s.%s is not documented", section, key.Value)
			}
		}
	}
	// These have an effect together with others: see below.
	together := []string{"networkPolicy.enabled", "serviceAccount.annotations", "serviceAccount.create"}
	tested := slices.Sorted(maps.Keys(chartValues))
	got, want := slices.Sorted(slices.Values(documented)),
		slices.Sorted(slices.Values(slices.Concat(tested, together)))
	if !slices.Equal(got, want) {
		t.Errorf("values.yaml has\n%v\ntested are\n%v", got, want)
	}
	before := chart(t).leaves()
	for _, name := range tested {
		if got := without(chart(t, name+"="+chartValues[name].set).leaves(),
			before); !slices.Equal(got, chartValues[name].want) {
			t.Errorf("%s changes\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(chartValues[name].want, "\n"))
		}
	}
	all := chart(t)
	if open := chart(t, "networkPolicy.enabled=false"); len(open) != len(all)-1 || open["NetworkPolicy/goldcrest"] != nil {
		t.Errorf("without the policy there are %v", slices.Sorted(maps.Keys(open)))
	}
	account := chart(t,
		`serviceAccount={"create": true, "name": "bucket", "annotations": {"a": "b"}}`)["ServiceAccount/bucket"]
	if got := leaves("", account["metadata"]); !slices.Contains(got, ` annotations a = "b"`) {
		t.Errorf("the account is %v", account)
	}
}

// Helm's linter finds nothing, and the schema refuses values that cannot work.
func TestChartLint(t *testing.T) {
	helm := toolAt(t, "HELM")
	lint := func(set string) (string, error) {
		out, err := exec.Command(helm, "lint", "--strict",
			"--namespace", "goldcrest", "--set-json", set, "../deploy/helm").CombinedOutput()
		return string(out), err
	}
	if out, err := lint("pods.annotations={}"); err != nil || strings.Contains(out, "[WARNING]") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, set := range []string{
		`proxi={}`, `proxy.replicas=3`,
		`image.tag=1`, `image.digest="1111"`, `image.repository=""`,
		`image.pullSecrets=["registry"]`, `config.roles=["proxy"]`, `config.signing=null`,
		`secrets.files=""`, `secrets.key="5a5a"`, `serviceAccount.create=true`,
		`proxy.minReplicas=0`, `proxy.workers="2"`, `networkPolicy.enabled="yes"`, `networkPolicy.egress={}`,
		`pods.nodeSelector={"a": 1}`, `prewarm.targetWaiting=0`,
	} {
		if out, err := lint(set); err == nil || !strings.Contains(out, "- at '") {
			t.Errorf("%s is accepted: %s", set, out)
		}
	}
}
