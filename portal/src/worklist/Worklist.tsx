import { DropZone } from "../uploads/DropZone";
import { UploadList } from "../uploads/UploadList";
import { AnalysisTable } from "./AnalysisTable";
import { ModelList } from "./ModelList";

export function Worklist() {
  return (
    <div className="home">
      <div className="side">
        <DropZone />
        <ModelList />
      </div>
      <div className="list">
        <UploadList />
        <AnalysisTable />
      </div>
    </div>
  );
}
