;;! bytes -
;;! refuse invalid "not a WebAssembly module"
;; No bytes at all.
