#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# openssl: digests, ciphers, keys, a certificate authority, a TLS connection.
# needs: openssl

words 50000 >text
for d in md5 sha1 sha256 sha3-512 blake2b512; do openssl dgst -"$d" -hmac key text; done
for c in aes-256-cbc chacha20 camellia-128-ctr; do
	openssl enc -"$c" -pbkdf2 -S 0102030405060708 -k secret -in text -out enc && sha256sum <enc
	openssl enc -d -"$c" -pbkdf2 -S 0102030405060708 -k secret -in enc | cmp - text && echo same
done
openssl genrsa -out rsa.pem 2048 2>/dev/null && openssl rsa -in rsa.pem -check -noout
openssl pkeyutl -sign -inkey rsa.pem -in <(head -c 32 text) -rawin -digest sha256 -out sig
openssl pkeyutl -verify -inkey rsa.pem -sigfile sig -in <(head -c 32 text) -rawin -digest sha256
openssl ecparam -genkey -name prime256v1 -out ec.pem
openssl req -x509 -key ec.pem -subj /CN=localhost -days 3000 -out cert.pem
openssl verify -CAfile cert.pem cert.pem
openssl x509 -in cert.pem -noout -subject -issuer
openssl asn1parse -in rsa.pem | wc -l
openssl prime 1000000007
port=$(free_port)
openssl s_server -accept "127.0.0.1:$port" -cert cert.pem -key ec.pem -www -quiet &
server=$!
stop_at_exit "$server"
hello() {
	printf 'GET / HTTP/1.0\r\n\r\n' |
		openssl s_client -connect "127.0.0.1:$port" -CAfile cert.pem -quiet -verify_return_error 2>/dev/null
}
until_ok hello
loaded "$server"
hello | grep -E -c 'New, TLSv1.3|HTTP/1.0 200'
