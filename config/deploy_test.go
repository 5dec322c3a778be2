package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const deploy = "../deploy"

// The configuration files that are shipped for deployments are accepted.
func TestDeployConfigs(t *testing.T) {
	for _, file := range []string{"compose/goldcrest.yaml", "kubernetes/config.yaml"} {
		cfg, err := Load(filepath.Join(deploy, file), nil)
		if err == nil {
			err = cfg.Validate()
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if cfg.Prewarm.Queue.NATS == "" || cfg.Cache.Store.S3.Bucket == "" {
			t.Errorf("%s: instances that share nothing", file)
		}
	}
}

// Every GOLDCREST_ variable that a deployment sets is a key, and its value is accepted.
func TestDeployEnvironment(t *testing.T) {
	set := regexp.MustCompile(`(?m)(?:name: (GOLDCREST_[A-Z0-9_]+), value: ("[^"]*")|(GOLDCREST_[A-Z0-9_]+)(?:: |=)("[^"]*"|[^\s"]+))`)
	for file, least := range map[string]int{"compose.yaml": 4, "kubernetes/proxy.yaml": 2, "kubernetes/prewarm.yaml": 2, "systemd/goldcrest.service": 3, "../Dockerfile": 1} {
		text, err := os.ReadFile(filepath.Join(deploy, file))
		if err != nil {
			t.Fatal(err)
		}
		found := set.FindAllStringSubmatch(string(text), -1)
		if len(found) < least || len(found) != strings.Count(string(text), "GOLDCREST_") {
			t.Errorf("%s: %d variables are read of %d, want at least %d", file, len(found), strings.Count(string(text), "GOLDCREST_"), least)
		}
		for _, f := range found {
			name, value := f[1]+f[3], strings.Trim(f[2]+f[4], `"`)
			cfg, err := Load("", []string{name + "=" + value})
			if err == nil {
				err = cfg.Validate()
			}
			if err != nil {
				t.Errorf("%s: %s=%s: %v", file, name, value, err)
			}
		}
	}
}

// Every YAML and JSON file can be read.
func TestDeployFilesParse(t *testing.T) {
	parsed := 0
	err := filepath.WalkDir(deploy, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch filepath.Ext(path) {
		case ".json":
			if !json.Valid(text) {
				t.Errorf("%s is no JSON", path)
			}
		case ".yaml":
			for docs := yaml.NewDecoder(bytes.NewReader(text)); ; {
				var document map[string]any
				if err := docs.Decode(&document); errors.Is(err, io.EOF) {
					break
				} else if err != nil || len(document) == 0 {
					t.Errorf("%s: %d keys, %v", path, len(document), err)
					break
				}
			}
		default:
			return nil
		}
		parsed++
		return nil
	})
	if err != nil || parsed < 12 {
		t.Errorf("%d files were parsed, %v", parsed, err)
	}
}

// What leads to private addresses is excepted from the NetworkPolicy, and no image changes under its name.
func TestDeployWalls(t *testing.T) {
	policy, err := os.ReadFile(filepath.Join(deploy, "kubernetes/network.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range []string{"10.0.0.0/8", "169.254.0.0/16", "fc00::/7", "64:ff9b::/96", "2002::/16"} {
		if !strings.Contains(string(policy), block) {
			t.Errorf("the NetworkPolicy lets %s through", block)
		}
	}
	compose, err := os.ReadFile(filepath.Join(deploy, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	pinned := regexp.MustCompile(`:v?\d+\.\d+\.\d+(-\w+)?(@sha256:[0-9a-f]{64})?$`)
	images := regexp.MustCompile(`(?m)^ +image: (\S+)`).FindAllStringSubmatch(string(compose), -1)
	for _, m := range images {
		if m[1] != "goldcrest:latest" && !pinned.MatchString(m[1]) { // The first is built from here.
			t.Errorf("%s is not pinned", m[1])
		}
	}
	if len(images) < 6 {
		t.Errorf("%d images were found", len(images))
	}
}
