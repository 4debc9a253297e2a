; The installer for Windows x64, for one user: no administrator, no prompt. /S installs silently.
; Built by installer.ts, which defines VERSION, SIZE (KiB), CONSOLE, WINDOWED, NOTICES, ICON and OUT, and QUICK for tests.
Target amd64-unicode
Unicode true
!include MUI2.nsh
!include FileFunc.nsh
!include LogicLib.nsh
!define KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\cadzero-auth"
!define NAME "CADZERO sign-in"

Name "${NAME}"
OutFile "${OUT}"
RequestExecutionLevel user
InstallDir "$LOCALAPPDATA\Programs\cadzero-auth"
InstallDirRegKey HKCU "${KEY}" "InstallLocation"
!ifdef QUICK ; for tests: twice the size, in seconds
  SetCompressor zlib
!else
  SetCompressor /SOLID lzma
  SetCompressorDictSize 128 ; MiB: the second file differs from the first in one byte, and begins that far behind it
!endif
SetDateSave off ; the files have the time of the installation, so that each build has the same bytes
ManifestDPIAware true
ManifestSupportedOS all
VIProductVersion "${VERSION}.0"
VIAddVersionKey ProductName "${NAME}"
VIAddVersionKey CompanyName "CADZERO"
VIAddVersionKey FileDescription "Installs ${NAME}"
VIAddVersionKey FileVersion "${VERSION}"
VIAddVersionKey LegalCopyright "CADZERO"
!define MUI_ICON "${ICON}"
!define MUI_UNICON "${ICON}"
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE English

; One installation or removal at a time: a second one waits, since it would rename what the first one is writing.
!macro WAIT_FOR_OTHERS
  System::Call 'kernel32::CreateMutexW(p 0, i 0, w "cadzero-auth-setup") p .r0' ; it ends with this process
  System::Call 'kernel32::WaitForSingleObject(p r0, i 180000) i .r1'
  ${If} $1 = 258 ; WAIT_TIMEOUT
    SetErrorLevel 1
    Abort "Another installation of ${NAME} is running. Try again later."
  ${EndIf}
!macroend

; What an interrupted `cadzero-auth update` has left, too: it would put an older program back.
!macro REMOVE_LEFTOVERS
  Delete "$INSTDIR\cadzero-auth.exe.old"
  Delete "$INSTDIR\cadzero-authd.exe.old"
  Delete "$INSTDIR\cadzero-auth.exe.previous"
  Delete "$INSTDIR\cadzero-authd.exe.previous"
  RMDir /r "$INSTDIR\.cadzero-auth-update"
!macroend

; A program that is still running can be renamed, not overwritten. An older one that runs keeps the name for that: then it is deleted.
!macro REPLACE PROGRAM
  Rename "$INSTDIR\${PROGRAM}" "$INSTDIR\${PROGRAM}.old"
  Delete "$INSTDIR\${PROGRAM}"
  ClearErrors
  Rename "$INSTDIR\${PROGRAM}.new" "$INSTDIR\${PROGRAM}"
!macroend
!macro RESTORE PROGRAM
  ${If} ${FileExists} "$INSTDIR\${PROGRAM}.old"
    Delete "$INSTDIR\${PROGRAM}"
    Rename "$INSTDIR\${PROGRAM}.old" "$INSTDIR\${PROGRAM}"
  ${EndIf}
!macroend

!macro REMOVE_NEW
  Delete "$INSTDIR\cadzero-auth.exe.new"
  Delete "$INSTDIR\cadzero-authd.exe.new"
  Delete "$INSTDIR\uninstall.exe.new"
!macroend

Var writes ; 1 if this installer, and no other, may have written files
Function .onInstFailed
  StrCmp $writes 1 0 done
    !insertmacro REMOVE_NEW
    SetOutPath "$TEMP"
    RMDir "$INSTDIR"
  done:
FunctionEnd

Section
  !insertmacro WAIT_FOR_OTHERS
  StrCpy $writes 1
  SetOutPath "$INSTDIR"
  ; All of it is written before the present program is touched: NSIS ends here, without a further line, if the disk is full.
  ClearErrors
  File "/oname=cadzero-auth.exe.new" "${CONSOLE}"
  File "/oname=cadzero-authd.exe.new" "${WINDOWED}"
  WriteUninstaller "$INSTDIR\uninstall.exe.new"
  File "/oname=THIRD-PARTY-NOTICES.txt" "${NOTICES}"
  IfErrors failed
  IfFileExists "$INSTDIR\cadzero-auth.exe" 0 fresh
    nsExec::Exec '"$INSTDIR\cadzero-auth.exe" daemon --stop'
    Pop $0 ; 3 if none runs
  fresh:
  !insertmacro REMOVE_LEFTOVERS
  !insertmacro REPLACE "cadzero-authd.exe"
  IfErrors windowless
  !insertmacro REPLACE "cadzero-auth.exe"
  IfErrors 0 written
    !insertmacro RESTORE "cadzero-auth.exe"
  windowless:
    !insertmacro RESTORE "cadzero-authd.exe"
  failed:
    SetErrorLevel 1
    Abort "The files could not be written. The previous version is kept."
  written:
  !insertmacro REMOVE_LEFTOVERS
  ; The window stays open after a failure, so that its hint can be read.
  CreateShortcut "$SMPROGRAMS\${NAME}.lnk" "$SYSDIR\cmd.exe" '/d /c ""$INSTDIR\cadzero-auth.exe" login || pause"' "$INSTDIR\cadzero-auth.exe"
  Delete "$INSTDIR\uninstall.exe"
  Rename "$INSTDIR\uninstall.exe.new" "$INSTDIR\uninstall.exe"
  WriteRegStr HKCU "${KEY}" DisplayName "${NAME}"
  WriteRegStr HKCU "${KEY}" DisplayVersion "${VERSION}"
  WriteRegStr HKCU "${KEY}" Publisher "CADZERO"
  WriteRegStr HKCU "${KEY}" DisplayIcon "$INSTDIR\cadzero-auth.exe"
  WriteRegStr HKCU "${KEY}" InstallLocation "$INSTDIR"
  WriteRegStr HKCU "${KEY}" UninstallString '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKCU "${KEY}" QuietUninstallString '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKCU "${KEY}" NoModify 1
  WriteRegDWORD HKCU "${KEY}" NoRepair 1
  WriteRegDWORD HKCU "${KEY}" EstimatedSize ${SIZE}
  ; Enters the Run key and starts the daemon, as for a user who copies the files by hand.
  nsExec::Exec '"$INSTDIR\cadzero-auth.exe" service install'
  Pop $0
  StrCmp $0 0 done
    DetailPrint "The service could not be installed ($0). Every command starts the daemon."
  done:
SectionEnd

; /PURGE also signs out and removes the session, its key and the configuration.
Section un.install
  !insertmacro WAIT_FOR_OTHERS
  ${GetParameters} $1
  ClearErrors
  ${GetOptions} $1 "/PURGE" $2
  IfErrors keep
    nsExec::Exec '"$INSTDIR\cadzero-auth.exe" service uninstall --purge'
    Pop $0
    StrCmp $0 0 gone
    SetErrorLevel 1
    Abort "The session could not be removed ($0). Run cadzero-auth doctor."
  keep:
    nsExec::Exec '"$INSTDIR\cadzero-auth.exe" service uninstall'
    Pop $0
  gone:
  ; A daemon that hangs has its program open, which without the uninstaller would stay for ever.
  ; cadzero-auth.exe goes last: the next attempt needs it.
  ClearErrors
  Delete "$INSTDIR\cadzero-auth.exe.old"
  Delete "$INSTDIR\cadzero-authd.exe.old"
  IfErrors running
  Delete "$INSTDIR\cadzero-authd.exe"
  IfErrors running
  Delete "$INSTDIR\cadzero-auth.exe"
  IfErrors 0 deleted
  running:
    SetErrorLevel 1
    Abort "A program is still running. Log off, then uninstall again."
  deleted:
  ; Now that no program has it loaded.
  RMDir /r "$LOCALAPPDATA\cadzero-auth\Data\addon"
  RMDir "$LOCALAPPDATA\cadzero-auth\Data"
  RMDir "$LOCALAPPDATA\cadzero-auth"
  Delete "$SMPROGRAMS\${NAME}.lnk"
  Delete "$INSTDIR\THIRD-PARTY-NOTICES.txt"
  !insertmacro REMOVE_LEFTOVERS
  !insertmacro REMOVE_NEW
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"
  DeleteRegKey HKCU "${KEY}"
SectionEnd
