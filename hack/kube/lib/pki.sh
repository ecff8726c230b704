# Certificates and kubeconfigs of one cluster, in $run/pki and $run. Sourced.
# shellcheck shell=bash

# An authority and the key pair that signs ServiceAccount tokens (RSA, as in most clusters).
make_authority() {
  mkdir -p "$run/pki"
  openssl genrsa -out "$run/pki/sa.key" 2048 2>>"$run/log/openssl.log"
  openssl rsa -in "$run/pki/sa.key" -pubout -out "$run/pki/sa.pub" 2>>"$run/log/openssl.log"
  sign ca /CN=test-cluster "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,digitalSignature"
}

sign() { # NAME SUBJECT EXTENSIONS: NAME.key and NAME.crt, signed by ca unless it is the ca
  local by=()
  [ "$1" = ca ] || by=(-CA "$run/pki/ca.crt" -CAkey "$run/pki/ca.key")
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 365 -subj "$2" "${by[@]}" \
    -keyout "$run/pki/$1.key" -out "$run/pki/$1.crt" -extensions extensions \
    -config <(printf '[req]\ndistinguished_name=name\n[name]\n[extensions]\n%b\n' "$3") 2>>"$run/log/openssl.log"
}

sign_server() { # NAME SUBJECT ALTERNATIVE-NAMES
  sign "$1" "$2" "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=$3"
}

sign_client() { # NAME SUBJECT
  sign "$1" "$2" "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth"
}

write_kubeconfig() { # FILE CERTIFICATE SERVER
  cat >"$1" <<Y
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: test}}]
clusters:
- name: test
  cluster: {server: "$3", certificate-authority-data: $(base64 -w0 <"$run/pki/ca.crt")}
users:
- name: test
  user: {client-certificate-data: $(base64 -w0 <"$run/pki/$2.crt"), client-key-data: $(base64 -w0 <"$run/pki/$2.key")}
Y
}
