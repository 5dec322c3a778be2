package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// container is one that a file of deploy starts, as far as it matters for a plain process.
type container struct {
	args    []string          // instead of the image's
	env     []string          // GOLDCREST_ variables
	config  string            // the text of the configuration
	at      string            // the file of the configuration
	secrets string            // the directory of the secrets
	ports   map[string]string // by the listener that they are of: listen, admin
	probes  map[string]string // paths and the listener that they are requested from
}

// shippedImage is what the Dockerfile says of a container's process.
type shippedImage struct{ entry, args, env, health []string }

func imageOf(t *testing.T) (i shippedImage) {
	t.Helper()
	for line := range strings.Lines(readFile(t, "../Dockerfile")) {
		for name, list := range map[string]*[]string{"ENTRYPOINT ": &i.entry, "CMD ": &i.args, "HEALTHCHECK ": &i.health} {
			if !strings.HasPrefix(line, name) {
				continue
			}
			if err := json.Unmarshal([]byte(line[strings.Index(line, "["):]), list); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
		if variables, ok := strings.CutPrefix(line, "ENV "); ok {
			i.env = strings.Fields(variables)
		}
	}
	return i
}

// podsOf are the containers of the rendered Deployments.
func podsOf(t *testing.T) map[string]container {
	t.Helper()
	type probe struct{ HTTPGet struct{ Path, Port string } }
	type deployment struct {
		Spec struct {
			Template struct {
				Spec struct {
					Containers []struct {
						Command, Args []string
						Env           []struct{ Name, Value string }
						Ports         []struct {
							Name          string
							ContainerPort int
						}
						VolumeMounts                                []struct{ Name, MountPath string }
						StartupProbe, LivenessProbe, ReadinessProbe probe
					}
					Volumes []struct {
						Name      string
						ConfigMap struct{ Name string }
						Secret    struct{ SecretName string }
					}
				}
			}
		}
	}
	all, pods := kustomized(t), map[string]container{}
	for _, name := range []string{"goldcrest-proxy", "goldcrest-prewarm"} {
		var d deployment
		if text, err := json.Marshal(all["Deployment/"+name]); err != nil || json.Unmarshal(text, &d) != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		pod := d.Spec.Template.Spec
		from := pod.Containers[0]
		c := container{args: from.Args, ports: map[string]string{}, probes: map[string]string{}}
		if from.Command != nil {
			t.Fatalf("%s runs %q, not the image's program", name, from.Command)
		}
		for _, e := range from.Env {
			c.env = append(c.env, e.Name+"="+e.Value)
		}
		listeners := map[string]string{"http": "listen", "admin": "admin"}
		for _, p := range from.Ports {
			c.ports[listeners[p.Name]] = fmt.Sprint(":", p.ContainerPort)
		}
		for _, p := range []probe{from.StartupProbe, from.LivenessProbe, from.ReadinessProbe} {
			c.probes[p.HTTPGet.Path] = listeners[p.HTTPGet.Port]
		}
		for _, m := range from.VolumeMounts {
			for _, v := range pod.Volumes {
				switch {
				case v.Name != m.Name:
				case v.ConfigMap.Name != "":
					data := all["ConfigMap/"+v.ConfigMap.Name]["data"].(map[string]any)
					for file, content := range data {
						text, err := yaml.Marshal(content)
						if err != nil {
							t.Fatal(err)
						}
						c.config, c.at = string(text), m.MountPath+"/"+file
					}
				case v.Secret.SecretName != "":
					c.secrets = m.MountPath
				}
			}
		}
		pods[strings.TrimPrefix(name, "goldcrest-")] = c
	}
	return pods
}

// composed are the containers of compose.yaml that run the image.
func composed(t *testing.T) map[string]container {
	t.Helper()
	var file struct {
		Services map[string]struct {
			Build       map[string]any
			Command     []string
			Environment map[string]string
			Volumes     []string
			Ports       []string
		}
	}
	if err := yaml.Unmarshal([]byte(readFile(t, "../deploy/compose.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	out := map[string]container{}
	for name, s := range file.Services {
		if s.Build == nil {
			continue
		}
		c := container{args: s.Command, secrets: "/run/secrets", ports: map[string]string{}}
		for _, variable := range slices.Sorted(maps.Keys(s.Environment)) {
			if strings.HasPrefix(variable, "GOLDCREST_") {
				c.env = append(c.env, variable+"="+s.Environment[variable])
			}
		}
		for _, volume := range s.Volumes {
			from, rest, _ := strings.Cut(volume, ":")
			c.config = readFile(t, filepath.Join("../deploy", from))
			c.at, _, _ = strings.Cut(rest, ":")
		}
		for _, port := range s.Ports {
			inside := port[strings.LastIndex(port, ":"):]
			c.ports[map[string]string{":8080": "listen", ":8081": "admin"}[inside]] = inside
		}
		out[name] = c
	}
	return out
}

// run starts a container's process on addresses of this machine, and tries the image's health check and the probes.
func (c container) run(t *testing.T, i shippedImage, dir string, env []string) *server {
	t.Helper()
	variables := slices.Concat(i.env, c.env)
	if !slices.Contains(variables, "GOLDCREST_CONFIG="+c.at) {
		t.Errorf("the configuration is at %s, but the variables are %q", c.at, variables)
	}
	var conf struct {
		Server struct{ Listen, Admin string }
	}
	if err := yaml.Unmarshal([]byte(c.config), &conf); err != nil {
		t.Fatal(err)
	}
	if conf.Server.Listen == "" {
		conf.Server.Listen = ":8080"
	}
	for listener, port := range c.ports {
		if is := map[string]string{"listen": conf.Server.Listen, "admin": conf.Server.Admin}[listener]; is != port {
			t.Errorf("the port of %q is %s, but the server listens on %s", listener, port, is)
		}
	}
	own := t.TempDir()
	file := filepath.Join(own, "config.yaml")
	if !strings.Contains(c.config, c.secrets+"/") {
		t.Fatalf("no secret of the configuration is in %s", c.secrets)
	}
	write(t, file, strings.ReplaceAll(c.config, c.secrets+"/", dir+"/"))
	env = slices.Concat(os.Environ(), variables, env, []string{"GOLDCREST_CONFIG=" + file,
		"GOLDCREST_SERVER_LISTEN=" + freePort(t), "GOLDCREST_SERVER_ADMIN=" + freePort(t)})
	args := i.args
	if c.args != nil {
		args = c.args
	}
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command(binary, args...)
		cmd.Dir, cmd.Env = own, env
		return cmd
	}
	s := launchCmd(t, own, command(slices.Concat(i.entry[1:], args)...))
	s.await()
	if out, err := command(i.health[1:]...).CombinedOutput(); err != nil {
		t.Errorf("the health check: %v\n%s", err, out)
	}
	for path, listener := range c.probes {
		base := map[string]string{"listen": s.public, "admin": s.admin}[listener]
		within(t, 30e9, path+" of "+listener, func() bool {
			a, err := request("GET", base+path)
			return err == nil && a.StatusCode == 200
		})
	}
	return s
}

// The containers of compose.yaml and of the rendered Deployments run as plain processes: the image's command, their
// variables, configuration and secrets. Only addresses and paths are changed. Their probes and the image's health check
// pass, a proxy accepts a Data Unit, a prewarm instance makes its variants, and the proxy serves them.
func TestShippedContainers(t *testing.T) {
	corpus(t)
	i := imageOf(t)
	if !slices.Equal(i.entry, i.health[:1]) || !regexp.MustCompile(`/goldcrest$`).MatchString(i.entry[0]) {
		t.Fatalf("the image runs %q, and its health check %q", i.entry, i.health)
	}
	for name, file := range map[string]struct {
		containers func(*testing.T) map[string]container
		proxy      string
	}{"kubernetes": {podsOf, "proxy"}, "compose": {composed, "proxy-1"}} {
		t.Run(name, func(t *testing.T) {
			containers := file.containers(t)
			store, peers, dir := startS3(t), startNats(t), t.TempDir()
			if err := os.Mkdir(filepath.Join(filepath.Dir(store.dir), "pictures"), 0o700); err != nil {
				t.Fatal(err)
			}
			makeSecrets(t, dir)
			env := append(slices.Clip(shippedEnv), "AWS_ACCESS_KEY_ID=test-access", "AWS_SECRET_ACCESS_KEY=test-secret-key",
				"GOLDCREST_CACHE_STORE_S3_ENDPOINT="+store.proxy.url, "GOLDCREST_CACHE_STORE_S3_REGION=us-east-1",
				"GOLDCREST_CACHE_STORE_S3_PATH_STYLE=true", "GOLDCREST_PREWARM_QUEUE_NATS="+natsURLFor(peers, ""))
			prewarm := containers["prewarm"].run(t, i, dir, env)
			proxy := containers[file.proxy].run(t, i, dir, env)
			if n := proxy.worksAsShipped(readFile(t, filepath.Join(dir, "api"))); n != 1 {
				t.Logf("the origin was asked %d times\n%s\n%s", n, prewarm.log, proxy.log)
			}
			if store.proxy.puts.Load() == 0 {
				t.Error("nothing came into the bucket")
			}
		})
	}
}
