;;! bytes 0061736d02000000
;;! refuse unsupported version
;; Version 2 of the binary format.
