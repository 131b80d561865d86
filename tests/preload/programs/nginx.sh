#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# nginx with two workers: static files, gzip, limits and a reload; curl as the client.
# needs: nginx curl

port=$(free_port)
mkdir -p html tmp logs
words 20000 >html/text.txt
echo "<p>hello</p>" >html/index.html
cat >nginx.conf <<NG
daemon off;
worker_processes 2;
pid nginx.pid;
error_log logs/error.log crit;
events { worker_connections 64; }
http {
	access_log logs/access.log;
	client_body_temp_path tmp/body; proxy_temp_path tmp/proxy; fastcgi_temp_path tmp/fastcgi;
	uwsgi_temp_path tmp/uwsgi; scgi_temp_path tmp/scgi;
	gzip on; gzip_types text/plain; gzip_min_length 100;
	types { text/html html; text/plain txt; }
	server {
		listen 127.0.0.1:$port;
		root html;
		location /proxy/ { proxy_pass http://127.0.0.1:$port/; }
		location /echo { return 200 "\$request_method \$uri\n"; }
		location ~ ^/re/(\d+)\$ { return 302 /n\$1; }
	}
}
NG
chmod -R a+rX .
nginx -p "$PWD/" -e logs/error.log -c nginx.conf &
server=$!
stop_at_exit "$server"
url=http://127.0.0.1:$port
until_ok curl -sf "$url/"
loaded "$server"

get() { curl -sS --noproxy '*' "$@"; }
all() {
	get "$url/"
	get "$url/text.txt" | sha256sum
	get --compressed "$url/text.txt" | sha256sum
	get "$url/proxy/text.txt" | cksum
	get -r 1000-1999 "$url/text.txt" | cksum
	get -X PUT "$url/echo"
	get -o /dev/null -w '%{http_code} %{size_download}\n' "$url/absent"
	get -o /dev/null -w '%{http_code} %{redirect_url}\n' "$url/re/42" | sed "s/$port/PORT/"
}
all
get -Z --parallel-max 20 "$url/proxy/text.txt?[1-100]" | wc -c
kill -HUP "$server"
all | sha256sum
kill -QUIT "$server"
wait "$server" || echo "status $?"
wc -l <logs/access.log
