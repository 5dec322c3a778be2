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
	for file, least := range map[string]int{"compose.yaml": 4, "kubernetes/proxy.yaml": 2, "kubernetes/prewarm.yaml": 2,
		"systemd/goldcrest.service": 3, "../Dockerfile": 1} {
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
		if d != nil && d.Name() == "templates" {
			return fs.SkipDir // Helm makes YAML of them.
		}
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

// No image changes under its name: each has an exact version, in every file that names one.
func TestDeployImages(t *testing.T) {
	pinned := regexp.MustCompile(`^[\w./-]+:(v?\d+\.\d+\.\d+(-\w+)?|\d+\.\d+-slim)(@sha256:[0-9a-f]{64})?$`) // Debian has two numbers.
	for file, here := range map[string]struct {
		image *regexp.Regexp
		least int
	}{
		"compose.yaml":                  {regexp.MustCompile(`(?m)^ +image: (.+)$`), 6},
		"kubernetes/proxy.yaml":         {regexp.MustCompile(`(?m)^ +image: (.+)$`), 1},
		"kubernetes/prewarm.yaml":       {regexp.MustCompile(`(?m)^ +image: (.+)$`), 1},
		"kubernetes/kustomization.yaml": {regexp.MustCompile(`\bname: goldcrest, newName: (\S+, newTag: [^}\s]+)`), 1},
		"../Dockerfile": {
			regexp.MustCompile(`(?m)^(?:ARG \w+_BASE=|FROM (?:--platform=\S+ )?)(\S+)`), 4,
		},
	} {
		text, err := os.ReadFile(filepath.Join(deploy, file))
		if err != nil {
			t.Fatal(err)
		}
		images := here.image.FindAllStringSubmatch(string(text), -1)
		for _, m := range images {
			switch image := strings.Replace(m[1], ", newTag: ", ":", 1); {
			case image == `"goldcrest:${VERSION:-unknown}"`: // built from here
			case image == "goldcrest" && strings.HasPrefix(file, "kubernetes/"): // kustomization.yaml says which
			case file == "../Dockerfile" && (image == "${BUILD_BASE}" || image == "${RUN_BASE}"): // an ARG says which
			case !pinned.MatchString(image):
				t.Errorf("%s: %s is not pinned", file, image)
			}
		}
		if len(images) < here.least {
			t.Errorf("%s: %d images were found", file, len(images))
		}
	}
}
