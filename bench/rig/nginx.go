package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// nginxConfig serves a folder as fast as nginx can: no log, no stat of open files, whole files by sendfile. The
// arguments: the working folder, the address, the content type.
const nginxConfig = `
user root;
daemon off;
worker_processes auto;
pid %[1]s/pid;
error_log stderr error;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
	types { }
	default_type %[3]s;
	sendfile on; tcp_nopush on; tcp_nodelay on;
	keepalive_requests 100000000;
	open_file_cache max=1000 inactive=1h; open_file_cache_valid 1h;
	server { listen %[2]s; root %[1]s/pictures; }
}
`

// StartNginx runs nginx, as a child of this program only, on the bodies. It returns the requests for them.
func (b *Bench) StartNginx(ctx context.Context, bodies [][]byte, contentType string) (p *Proc, addr string, requests [][]byte, err error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			return nil, "", nil, Skipped("nginx is not installed; make bench installs it")
		}
	}
	dir := filepath.Join(b.Work, "nginx")
	if err := os.MkdirAll(filepath.Join(dir, "pictures"), 0o755); err != nil {
		return nil, "", nil, err
	}
	for i, body := range bodies {
		path := fmt.Sprint("/", i)
		if err := os.WriteFile(filepath.Join(dir, "pictures", path), body, 0o600); err != nil {
			return nil, "", nil, err
		}
		requests = append(requests, RawRequest(path))
	}
	if addr, _, err = FreeAddrs(); err != nil {
		return nil, "", nil, err
	}
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConfig, dir, addr, contentType), 0o600); err != nil {
		return nil, "", nil, err
	}
	if p, err = Start(program, "-p", dir, "-c", conf, "-e", "stderr"); err != nil {
		return nil, "", nil, err
	}
	if err := AwaitReady(ctx, p, "http://"+addr+"/0"); err != nil {
		p.Stop()
		return nil, "", nil, err
	}
	return p, addr, requests, nil
}
