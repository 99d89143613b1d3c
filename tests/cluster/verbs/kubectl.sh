# bed kubectl ARGS                       kubectl as the administrator, from anywhere
kc "$@"
