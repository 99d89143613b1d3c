# bed kubeconfig                         the path of the administrator's kubeconfig, which works inside (bed in)
file=${KEYHOLE_KUBECONFIG:-$PKI/admin.kubeconfig}
[ -e "$file" ] || { echo "there is no kubeconfig of cluster $NS" >&2; exit 1; }
echo "$file"
